"""The panel of the view page with the figures of ``report.json``: per criterion, together, evidence, baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from redsm5.metrics.evaluation import DecisionScores, Evaluation, Interval, evidence_key
from redsm5.report.markup import Markup, joined, table, tag
from redsm5.report.tables import (
    COMPARED,
    EVIDENCE_ROWS,
    SUMMARY_ROWS,
    compared,
    field_value,
    interval_note,
    number,
)
from redsm5.report.view_keys import CriterionKey

HEAD = ("P ≥ .5", "R ≥ .5", "F1 ≥ .5")
TUNED_HEAD = ("tuned t", "P ≥ t", "R ≥ t", "F1 ≥ t")
RANKED_HEAD = ("AUROC", "AUPRC", "prevalence", "ECE", "Brier", "hit@1", "token F1")


def criteria_panel(evaluation: Evaluation, keys: Sequence[CriterionKey], baselines: Mapping[str, Evaluation]) -> Markup:
    """Tables as on the terminal.

    Args:
        evaluation: The numbers of the part.
        keys: The criteria, in its order.
        baselines: Evaluations of baselines on the same part, by name.
    """
    parts = [
        tag("h2", "Per criterion"),
        _per_criterion(evaluation, keys),
        tag("h2", "Criteria together"),
        _together(evaluation),
        tag("h2", "Evidence"),
        _evidence(evaluation),
    ]
    if baselines:
        parts += [tag("h2", "Beside the baselines"), _beside({"this run": evaluation, **baselines})]
    return joined(parts)


def _per_criterion(evaluation: Evaluation, keys: Sequence[CriterionKey]) -> Markup:
    tuned = evaluation.tuned is not None
    rows = []
    for key, row in zip(keys, evaluation.criteria, strict=True):
        cells = [key.button("all", f"{key.title}: show its posts"), str(row.support), *_decision_cells(row.at_half)]
        if tuned:
            cells += [number(row.threshold, 2), *_decision_cells(row.tuned)]
        ranked = (row.auroc, row.auprc, row.prevalence, row.ece, row.brier, row.hit_at_1, row.evidence_token_f1)
        rows.append([*cells, *(number(value, 2) for value in ranked)])
    means = ["macro", "", "", "", number(evaluation.at_half.f1_macro, 2)]
    if evaluation.tuned is not None:
        means += ["", "", "", number(evaluation.tuned.f1_macro, 2)]
    means += [number(evaluation.auroc_macro, 2), number(evaluation.auprc_macro, 2), ""]
    means += [number(evaluation.ece_macro, 2), number(evaluation.brier_macro, 2), "", ""]
    head = ["Criterion", "posts", *HEAD, *(TUNED_HEAD if tuned else ()), *RANKED_HEAD]
    caption = (
        f"{evaluation.posts} posts by {evaluation.authors} authors. The AUPRC of a random order is the prevalence. "
        "Evidence (hit@1, token F1) is given the gold criteria. A criterion's button shows its posts."
    )
    return table(caption, head, [*rows, means], foot=1)


def _together(evaluation: Evaluation) -> Markup:
    rows = []
    for field, name in SUMMARY_ROWS:
        cells = [_with_interval(field_value(evaluation.at_half, field), evaluation.intervals.get(field))]
        if evaluation.tuned is not None:
            tuned = field_value(evaluation.tuned, field)
            cells.append(_with_interval(tuned, evaluation.intervals.get(f"tuned_{field}")))
        rows.append([name, *cells])
    head = ["metric", "at .5", *(["at tuned thresholds"] if evaluation.tuned is not None else [])]
    return table(f"All criteria{interval_note(evaluation)}", head, rows, class_="figures words")


def _evidence(evaluation: Evaluation) -> Markup:
    rows = []
    for field, name in EVIDENCE_ROWS:
        key = evidence_key(field)
        given = _with_interval(field_value(evaluation.evidence_given_gold, field), evaluation.intervals.get(key))
        end = field_value(evaluation.evidence_end_to_end, field)
        rows.append([name, given, _with_interval(end, evaluation.intervals.get(f"end_to_end_{key}"))])
    caption = f"{evaluation.evidence_pairs} pairs of post and criterion{interval_note(evaluation)}"
    if evaluation.left_out_pairs:
        caption += f"; {evaluation.left_out_pairs} left out: some of their evidence was not found in the post"
    return table(caption, ["metric", "given the gold criteria", "end to end"], rows, class_="figures words")


def _beside(models: Mapping[str, Evaluation]) -> Markup:
    rows = [[name, *(number(compared(e, key)) for key, _ in COMPARED)] for name, e in models.items()]
    caption = "The same posts; F1 and exact match at tuned thresholds; evidence given the gold criteria"
    return table(caption, ["model", *(name for _, name in COMPARED)], rows)


def _with_interval(value: float | None, interval: Interval | None) -> Markup:
    if value is None or interval is None:
        return Markup(number(value))
    return joined((number(value), tag("span", f" ({number(interval.low)} to {number(interval.high)})", class_="soft")))


def _decision_cells(scores: DecisionScores | None) -> Iterator[str]:
    values = (None,) * 3 if scores is None else (scores.precision, scores.recall, scores.f1)
    return (number(value, 2) for value in values)
