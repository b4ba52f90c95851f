"""What a report says of the test part."""

import pytest
from report_samples import small_evaluation
from search_samples import search, study_report, trials

from redsm5.hpo_report.sections import sections
from redsm5.hpo_report.tested import look_sentence, look_table
from redsm5.metrics.evaluation import Interval
from redsm5.report import study_models


@pytest.fixture(scope="module")
def evaluation():
    """Of three posts by two authors; macro F1 at 0.5 is 2/3, and its interval is known."""
    found = small_evaluation()
    intervals = found.intervals | {"f1_macro": Interval(low=0.4, high=0.6)}
    return found.model_copy(update={"intervals": intervals})


BEST = max((one for one in trials() if one.state == "COMPLETE"), key=lambda one: one.value).trial


def said(**changes):
    return look_sentence(study_report(trials(), **changes))


def result(evaluation, value=0.5, optimism=0.25):
    return study_models.TestResult(trial=BEST, evaluation=evaluation, value=value, optimism=optimism)


def test_never_looked_at():
    assert said() == "The test part has not been looked at."


def test_looked_at_before_there_was_a_better_one():
    assert said(test_evaluations=2, tested=[3, 5]) == (
        f"The test part has been looked at 2 times, last with trial 5; trial {BEST}, the best one by now, has not been "
        "tested."
    )


def test_looked_at_where_the_folder_is_not():
    assert said(test_evaluations=1, tested=[BEST]) == (
        f"The test part has been looked at once, with trial {BEST}; the figures of trial {BEST}, the best one, "
        "are not in the folder of this study here."
    )


def test_looked_at_with_an_objective_that_is_not_measured_there(evaluation):
    looked = {"test_evaluations": 1, "tested": [BEST], "objective": "val_loss"}
    sentence = said(**looked, test=result(evaluation, None, None))
    assert sentence.startswith(f"The test part has been looked at once, with trial {BEST}; loss, the objective, is")
    rows = look_table(search(**looked, test=result(evaluation, None, None))).rows
    assert rows[0] == ("loss", "–", "none: not measured on the test part")
    assert rows[1][0] == "f1_macro"


def test_figures_with_their_interval(evaluation):
    looked = {"test_evaluations": 3, "tested": [1, 2, BEST], "test": result(evaluation)}
    assert said(**looked) == (
        f"The test part has been looked at 3 times, last with trial {BEST}: there it has f1_macro 0.5000 "
        "(95 % interval 0.4000 to 0.6000); the validation value was 0.2500 better."
    )
    report = search(**looked)
    (section,) = [one for one in sections(report) if one.title == "Test"]
    rows = {row[0]: row[1:] for row in section.table.rows}
    assert section.table.head == ("metric", f"trial {BEST}", "95 % interval, bootstrap over authors")
    assert rows["f1_macro"] == ("0.6667", "0.4000 to 0.6000")
    assert rows["exact_match"] == ("0.6667", "none: this metric is not resampled")
    assert rows["optimism of the search"][0] == "0.25"
    assert rows["posts"][0] == "3"
    assert rows["authors"][0] == "2"
    assert rows["looks at the test part"][0] == "3"


def test_figures_without_an_interval_say_so(evaluation):
    bare = evaluation.model_copy(
        update={"intervals": {}, "bootstrap": evaluation.bootstrap.model_copy(update={"resamples": 0})}
    )
    looked = {"test_evaluations": 1, "tested": [BEST], "test": result(bare, optimism=-0.1)}
    assert said(**looked).endswith("(no 95 % interval); the validation value was 0.1000 worse.")
    assert look_table(search(**looked)).rows[0][2] == "none: nothing was resampled"
