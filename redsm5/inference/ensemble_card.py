"""The model card of an exported ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from string import Template
from typing import TYPE_CHECKING

from redsm5.confirm.table import HEAD, rows
from redsm5.ensemble.models import MAIN, METRICS, RANKING
from redsm5.inference.card import (
    SYNTHETIC,
    card_text,
    corpus_limits,
    corpus_source,
    criteria_lines,
    criteria_table,
)
from redsm5.report.search_card import looks_line, search_line
from redsm5.words import counted

if TYPE_CHECKING:
    from redsm5.datamodules.corpus import Criterion
    from redsm5.ensemble.models import Compared, Ensemble
    from redsm5.report.models import Report
    from redsm5.report.search_card import Origin

WORDS = {
    "f1_macro": "macro F1 at 0.5",
    "tuned_f1_macro": "macro F1 at tuned thresholds",
    RANKING: "macro AUPRC, mean over folds",
    "hit_at_1": "hit@1 given the gold criteria",
    "end_to_end_evidence_char_f1": "character F1 end to end",
}
COMBINE = {"mean": "the mean of their probabilities", "rank": "the mean of the ranks of their probabilities"}


def ensemble_card(
    ensemble: Ensemble, report: Report, criteria: Sequence[Criterion], name: str, origins: Sequence[Origin]
) -> str:
    """The card as Markdown.

    Args:
        ensemble: What was made.
        report: Of the run of one member: all have the corpus in common.
        criteria: In the order of the outputs.
        name: Of the folder.
        origins: Of the members that files say of, which have the search and its confirmation in common.
    """
    origin = next(iter(origins), None)
    found = {one.name: one for one in ensemble.compared}
    return Template(card_text("ensemble_card.md")).substitute(
        name=name,
        members=len(ensemble.members),
        redsm5=ensemble.redsm5,
        notice=f"\n{SYNTHETIC}\n" if report.corpus.synthetic else "",
        purpose=card_text("purpose.md"),
        criteria=criteria_lines(criteria),
        trials=ensemble.trials,
        objective=ensemble.objective,
        posts=ensemble.posts,
        authors=ensemble.authors,
        combine=COMBINE[ensemble.combination.combine],
        weights=f"{ensemble.chosen.rpartition(' ')[2]} weights",
        agreement=f"{ensemble.combination.agreement:.2f}",
        table=_members(ensemble, [one.trial.trial for one in origins if one.again]),
        found="" if origin is None else "\n".join([*_search(origin), *_confirmed(ensemble, origin)]),
        per_criterion=criteria_table(ensemble.evaluation),
        best=ensemble.compared[0].name,
        compared=_compared(ensemble),
        figures=_figures(ensemble, ensemble.compared[0], found[ensemble.chosen]),
        limits="\n".join(f"- {limit}" for limit in corpus_limits(report.corpus, criteria)),
        source=corpus_source(report.corpus),
        source_hash=ensemble.corpus_sha256[:16],
        study=ensemble.study,
        created=ensemble.created.date().isoformat(),
    )


def _members(ensemble: Ensemble, again: Sequence[int]) -> str:
    head = [f"| member | encoder | weight | {ensemble.objective} |", "|---|---|---|---|"]
    rows = [f"| `{m.folder}` | `{m.encoder}` | {m.weight:.2f} | {m.value:.3f} |" for m in ensemble.members]
    if again:
        rows += ["", f"Trained again with the config of the trial, whose value this is: {', '.join(map(str, again))}."]
    return "\n".join([*head, *rows])


def _figures(ensemble: Ensemble, best: Compared, chosen: Compared) -> str:
    percent = round(100 * ensemble.level)
    head = [
        f"| metric | this ensemble | {best.name}, the best single one | gain, {percent} % interval |",
        "|---|---|---|---|",
    ]
    rows = []
    for key, words in WORDS.items():
        if key not in chosen.gains:
            continue
        ends = chosen.gain_intervals.get(key)
        interval = "" if ends is None else f" ({ends.low:+.3f} to {ends.high:+.3f})"
        rows.append(
            f"| {words} | {chosen.scores[key]:.3f} | {best.scores[key]:.3f} | {chosen.gains[key]:+.3f}{interval} |"
        )
    return "\n".join([*head, *rows])


def _compared(ensemble: Ensemble) -> str:
    head = ["what", *METRICS.values(), "gain", f"{round(100 * ensemble.level)} % interval"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for one in ensemble.compared:
        first, ends = one is ensemble.compared[0], one.gain_intervals.get(MAIN)
        cells = [
            one.name + (" *" if one.name == ensemble.chosen else ""),
            *(f"{one.scores[key]:.3f}" if key in one.scores else "–" for key in METRICS),
            "" if first or MAIN not in one.gains else f"{one.gains[MAIN]:+.3f}",
            "" if first or ends is None else f"{ends.low:+.3f} to {ends.high:+.3f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _search(origin: Origin) -> list[str]:
    """What the search was; nothing where its file is not there."""
    if (study := origin.study) is None:
        return []
    return [
        "## How its members were found",
        "",
        search_line(study),
        "- the validation part chose the trials and their epochs, so the values above flatter",
        looks_line(study),
        "",
    ]


def _confirmed(ensemble: Ensemble, origin: Origin) -> list[str]:
    """What is left of the members where they were trained again; nothing where they were not."""
    if (found := origin.confirmation) is None:
        return []
    trials = {str(member.trial) for member in ensemble.members}
    told = [row for row in rows(found) if row[0] in trials]
    percent = round(100 * found.level)
    lines = [
        "## Whether its members hold",
        "",
        f"The best {len(found.candidates)} trials, {len(told)} of the {len(trials)} members among them, were trained "
        f"again on {found.design} of the {found.posts} training and validation posts "
        f"by {found.authors} authors; the test posts were in none of them. Each was so alone: **the ensemble itself "
        f"was not confirmed.**",
        "",
    ]
    if not told:
        return lines
    return [
        *lines,
        f"| {' | '.join(HEAD)} |",
        "|---" * len(HEAD) + "|",
        *(f"| {' | '.join(row)} |" for row in told),
        "",
        f"Confirmed is the mean of `{found.metric}` over these trainings, with its {percent} % interval; the luck of "
        f"the choice is in the difference to the search. Best less this: trial {found.best}, the confirmed best one, "
        "less this one, over trainings with the same seed and fold, with p of the corrected resampled t-test. Pooled: "
        "on the posts of all folds that each had not seen, with p of a paired bootstrap over authors. Both p by Holm "
        f"over {counted(len(found.differences), 'pair')}.",
        "",
    ]
