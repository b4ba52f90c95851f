"""What is known of the test part, in a sentence and as a table."""

from __future__ import annotations

from redsm5.hpo_report.models import SearchReport
from redsm5.hpo_report.tables import Table, number
from redsm5.metrics.evaluation import Evaluation
from redsm5.report.study_models import StudyReport

METRICS = (
    "f1_macro", "f1_micro", "tuned_f1_macro", "tuned_f1_micro", "exact_match", "auprc_macro", "auroc_macro",
    "ece_macro", "brier_macro", "evidence_token_f1", "evidence_iou_f1", "hit_at_1", "end_to_end_evidence_token_f1",
    "end_to_end_hit_at_1",
)  # fmt: skip
"""Those of an evaluation that the table has besides the objective's."""


def look_sentence(study: StudyReport) -> str:
    """How often the test part was looked at, and what was seen of the best trial."""
    if not study.test_evaluations:
        return "The test part has not been looked at."
    last = study.tested[-1]
    looks = "once, with" if study.test_evaluations == 1 else f"{study.test_evaluations} times, last with"
    looked = f"The test part has been looked at {looks} trial {last}"
    best = study.best[0].trial
    name = metric_of(study)
    if best not in study.tested:
        return f"{looked}; trial {best}, the best one by now, has not been tested."
    if study.test is None:
        return f"{looked}; the figures of trial {best}, the best one, are not in the folder of this study here."
    if study.test.value is None:
        return f"{looked}; {name}, the objective, is not measured there, the other figures stand under Test."
    found = study.test
    between = found.evaluation.intervals.get(name)
    level = f"{100 * found.evaluation.bootstrap.level:.0f} % interval"
    interval = f"no {level}" if between is None else f"{level} {between.low:.4f} to {between.high:.4f}"
    gap = "" if found.optimism is None else f"; the validation value was {_gap(found.optimism)}"
    it = "it" if found.trial == last else f"trial {found.trial}"
    return f"{looked}: there {it} has {name} {found.value:.4f} ({interval}){gap}."


def look_table(report: SearchReport) -> Table:
    """The figures of the best trial, with their intervals."""
    found = report.study.test
    assert found is not None
    scalars, evaluation = found.evaluation.scalars(), found.evaluation
    objective = metric_of(report.study)
    names = (objective, *(name for name in METRICS if name in scalars and name != objective))
    rows = [(name, number(scalars.get(name)), _interval(evaluation, name, name in scalars)) for name in names]
    rows += [
        ("optimism of the search", number(found.optimism), "none: a difference of two parts"),
        ("posts", str(evaluation.posts), ""),
        ("authors", str(evaluation.authors), ""),
        ("looks at the test part", str(report.study.test_evaluations), ""),
    ]
    level = f"{100 * evaluation.bootstrap.level:.0f} % interval, bootstrap over authors"
    return Table(("metric", f"trial {found.trial}", level), tuple(rows))


def metric_of(study: StudyReport) -> str:
    """The objective, as evaluations name it."""
    return study.objective.removeprefix("val_")


def _interval(evaluation: Evaluation, name: str, measured: bool) -> str:
    between = evaluation.intervals.get(name)
    if between is not None:
        return f"{between.low:.4f} to {between.high:.4f}"
    if not measured:
        return "none: not measured on the test part"
    return "none: this metric is not resampled" if evaluation.bootstrap.resamples else "none: nothing was resampled"


def _gap(optimism: float) -> str:
    return f"{abs(optimism):.4f} {'better' if optimism >= 0 else 'worse'}"
