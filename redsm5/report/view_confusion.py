"""The panel of the view page with the decisions that were wrong: counts per criterion, and what stood instead."""

from __future__ import annotations

from collections.abc import Sequence

from redsm5.metrics.confusion import outcomes, substitutions
from redsm5.metrics.paired import BoolArray
from redsm5.report.markup import Markup, joined, table, tag
from redsm5.report.view_keys import CriterionKey

HEATS = 5
"""Steps of the tint behind the cells of the matrix, ``heat1`` and on in the page's style."""

INSTEAD = (
    "A row is a gold criterion, a column a predicted one. On the diagonal: posts in which the criterion was found. "
    "Elsewhere: posts in which the row's criterion was missed while the column's was a false alarm, so "
    "perhaps in its place. Last column: missed, and no false alarm in the post; last row: false alarm, and nothing "
    "missed. A post can stand in several cells."
)


def confusion_panel(labels: BoolArray, decisions: BoolArray, keys: Sequence[CriterionKey]) -> Markup:
    """Both tables.

    Args:
        labels: [N, K].
        decisions: [N, K], as the predictions file has them.
        keys: K criteria.
    """
    return joined(
        (
            tag("h2", "Per criterion"),
            _counts(labels, decisions, keys),
            tag("h2", "Gold against predicted"),
            tag("p", INSTEAD, class_="lead"),
            _matrix(labels, decisions, keys),
        )
    )


def _counts(labels: BoolArray, decisions: BoolArray, keys: Sequence[CriterionKey]) -> Markup:
    rows = []
    for key, o in zip(keys, outcomes(labels, decisions), strict=True):
        cells = [
            key.button(outcome, f"{key.title}: show the {count} posts ({word})", str(count)) if count else "0"
            for outcome, word, count in (
                ("right", "hit", o.hits),
                ("alarm", "false alarm", o.false_alarms),
                ("missed", "missed", o.missed),
                ("rest", "neither", o.rest),
            )
        ]
        rows.append([key.named(), *cells])
    head = ["Criterion", "● hit (TP)", "× false alarm (FP)", "○ missed (FN)", "neither (TN)"]
    return table("Posts by gold and decision; a number shows its posts", head, rows)


def _matrix(labels: BoolArray, decisions: BoolArray, keys: Sequence[CriterionKey]) -> Markup:
    cells = substitutions(labels, decisions)
    k = len(keys)
    wrong = cells.copy()
    wrong[range(k), range(k)] = 0
    most = max(HEATS, int(wrong[:k, :k].max()))
    rows = []
    for i, heading in enumerate([*(key.named() for key in keys), tag("span", "nothing missed")]):
        row: list[str] = [heading]
        for j in range(k + 1):
            count = int(cells[i, j])
            if i == j:
                row.append(tag("span", str(count) if i < k else "", class_="cell diagonal"))
            else:
                heat = -(-HEATS * count // most) if max(i, j) < k else 0
                row.append(tag("span", str(count) if count else "·", class_=f"cell heat{heat}"))
        rows.append(row)
    marks = [tag("abbr", key.mark, title=key.title, class_=f"chip plain {key.colour}") for key in keys]
    head = ["gold \\ predicted", *marks, "no false alarm"]
    return table("Posts by gold (rows) and predicted criterion (columns)", head, rows, class_="figures matrix")
