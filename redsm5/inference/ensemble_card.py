"""The model card of an exported ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from string import Template
from typing import TYPE_CHECKING

from redsm5.inference.card import SYNTHETIC, card_text, corpus_limits, corpus_source, criteria_lines

if TYPE_CHECKING:
    from redsm5.datamodules.corpus import Criterion
    from redsm5.ensemble.models import Compared, Ensemble
    from redsm5.report.models import Report

METRICS = {
    "f1_macro": "macro F1 at 0.5",
    "tuned_f1_macro": "macro F1 at tuned thresholds",
    "fold_auprc_macro": "macro AUPRC, mean over folds",
    "hit_at_1": "hit@1 given the gold criteria",
    "end_to_end_evidence_char_f1": "character F1 end to end",
}
COMBINE = {"mean": "the mean of their probabilities", "rank": "the mean of the ranks of their probabilities"}


def ensemble_card(ensemble: Ensemble, report: Report, criteria: Sequence[Criterion], name: str) -> str:
    """The card as Markdown.

    Args:
        ensemble: What was made.
        report: Of the run of one member: all have the corpus in common.
        criteria: In the order of the outputs.
        name: Of the folder.
    """
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
        table=_members(ensemble),
        figures=_figures(ensemble, ensemble.compared[0], found[ensemble.chosen]),
        limits="\n".join(f"- {limit}" for limit in corpus_limits(report.corpus, criteria)),
        source=corpus_source(report.corpus),
        source_hash=ensemble.corpus_sha256[:16],
        study=ensemble.study,
        created=ensemble.created.date().isoformat(),
    )


def _members(ensemble: Ensemble) -> str:
    head = [f"| member | encoder | weight | {ensemble.objective} |", "|---|---|---|---|"]
    rows = [f"| `{m.folder}` | `{m.encoder}` | {m.weight:.2f} | {m.value:.3f} |" for m in ensemble.members]
    return "\n".join([*head, *rows])


def _figures(ensemble: Ensemble, best: Compared, chosen: Compared) -> str:
    percent = round(100 * ensemble.level)
    head = [
        f"| metric | this ensemble | {best.name}, the best single one | gain, {percent} % interval |",
        "|---|---|---|---|",
    ]
    rows = []
    for key, words in METRICS.items():
        if key not in chosen.gains:
            continue
        ends = chosen.gain_intervals.get(key)
        interval = "" if ends is None else f" ({ends.low:+.3f} to {ends.high:+.3f})"
        rows.append(
            f"| {words} | {chosen.scores[key]:.3f} | {best.scores[key]:.3f} | {chosen.gains[key]:+.3f}{interval} |"
        )
    return "\n".join([*head, *rows])
