"""What a report shows of confirm.json."""

import pytest
from confirmation_sample import confirmation
from search_samples import search

from redsm5.hpo_report import confirmed
from redsm5.hpo_report.markdown import markdown
from redsm5.hpo_report.page import render


@pytest.fixture(scope="module")
def report():
    return search(confirmed=confirmed.confirmed_of(confirmation()))


def test_tables_have_the_candidates_and_their_differences(report):
    assert confirmed.confirmed_table(report).rows == (
        ("4", "2", "0.7500", "0.7000", "0.6000 to 0.8500", "+0.0500", ""),
        ("2", "1", "0.8000", "0.6500", "0.6000 to 0.7000", "+0.1500", ""),
        ("9", "3", "0.7000", "not confirmed", "none", "–", "seed 1, fold 0: diverged"),
    )
    assert confirmed.difference_table(report).rows == (
        ("trial 4 less trial 2", "+0.0500", "-0.0100 to 0.1200", "0.200", "+0.0400", "0.0100 to 0.0700", "0.040"),
    )


def test_points_stand_with_their_intervals(report):
    searched, means = confirmed.confirmed_points(report).to_dict()["data"]
    assert list(means["y"]) == ["trial 2", "trial 4"]  # the best on top
    assert list(means["x"]) == [0.65, 0.7]
    assert list(searched["x"]) == [0.8, 0.75]
    assert list(means["error_x"]["array"]) == pytest.approx([0.05, 0.15])
    assert list(means["error_x"]["arrayminus"]) == pytest.approx([0.05, 0.1])
    (apart,) = confirmed.difference_points(report).to_dict()["data"]
    assert list(apart["error_x"]["arrayminus"]) == pytest.approx([0.06])


def test_it_is_in_the_page_the_markdown_the_json_and_the_summary(report):
    said = (
        "Trained again on 5 folds, trial 4 is the best of 3: f1_macro 0.7000, 95 % interval 0.6000 to 0.8500, where "
        "the search had 0.7500."
    )
    assert said in report.summary
    for text in (render(report), markdown(report)):
        assert "+0.1500" in text
        assert "trained 3 times on each of 5 folds of the 900 training and validation posts, by 70 authors" in text
    assert report.model_dump()["confirmed"]["candidates"][1]["interval"] == {"low": 0.6, "high": 0.7}


def test_difference_that_is_undefined_on_all_posts_together_is_none(report):
    undefined = {"pooled_difference": None, "pooled_interval": None, "pooled_p_holm": None, "p_holm": None}
    one = report.confirmed.differences[0].model_copy(update=undefined)
    changed = report.model_copy(update={"confirmed": report.confirmed.model_copy(update={"differences": [one]})})
    assert confirmed.difference_table(changed).rows[0][3:] == ("none",) * 4


def test_without_a_confirmation_there_is_nothing():
    assert "Confirmed" not in markdown(search())
