"""The model card of an exported model: what it is, what it is not for, how good it is, on what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Literal

from redsm5.catalog import CATALOG
from redsm5.datamodules.criteria import load_criteria

if TYPE_CHECKING:
    from redsm5.checkpoints.manifest import Base
    from redsm5.datamodules.corpus import Criterion
    from redsm5.metrics.evaluation import CriterionScores, Evaluation
    from redsm5.report.models import CorpusInfo, Part, Report

REDSM5 = "irlab-udc/redsm5@"
"""How the source of the gated corpus begins where it comes from the hub."""
DATASET = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}")
"""The source of a corpus from the hub."""
LIMITS = (
    "The labels are judgements of single sentences: no interview, no history. Rare criteria have few positives, and "
    "their figures are uncertain.",
    "People write differently about the same thing: irony, quotations, other people's symptoms and past episodes are "
    "known sources of error.",
    "The training posts are not in this folder. A fine-tuned model may still reveal something of what it was trained "
    "on: share it on the terms of the corpus.",
)
SYNTHETIC = "**The corpus is synthetic: no figure says anything about people.**"
REDDIT = (
    "{these} are users of Reddit who wrote in English: younger, and more often male, than people in general; experts "
    "judged their sentences."
)
TUNED = "Thresholds were tuned per criterion on the validation part only."
CONFIRMED = (
    "These figures are at thresholds that were tuned per criterion on the validation part; the model decides at "
    "others, of which below."
)
PART_NAMES: dict[Part, str] = {"val": "validation", "test": "test"}


def model_card(
    report: Report,
    criteria: Sequence[Criterion],
    base: Base,
    kind: Literal["whole", "adapter_only"],
    name: str,
    *,
    search: str = "",
    confirmed: bool = False,
) -> str:
    """The card as Markdown.

    Args:
        report: Of the run; the figures are those of the test part where it was evaluated.
        criteria: In the order of the outputs.
        base: The encoder that was trained.
        kind: What the folder holds.
        name: Of the folder.
        search: Sections on the search that the run is from.
        confirmed: Whether thresholds and calibration are from out-of-fold predictions.
    """
    part: Part = "test" if "test" in report.evaluations else "val"
    evaluation = report.evaluations[part]
    known = CATALOG.get(base.id)
    return Template(
        card_text("card.md")
    ).substitute(
        name=name,
        base=base.id if base.revision else Path(base.id).name,  # where a folder was is nobody's business
        revision=base.revision or "none (a local folder)",
        licence=(known.licence if known else None) or "not stated; see its page before you pass these weights on",
        holds="every weight" if kind == "whole" else "what was trained; the base encoder is loaded beside it",
        purpose=card_text("purpose.md"),
        criteria=criteria_lines(criteria),
        part=PART_NAMES[part],
        caution=""
        if part == "test"
        else "The test part was not evaluated: the validation part chose epoch and thresholds, so its figures flatter.",
        headline=_headline(evaluation),
        table=criteria_table(evaluation),
        posts=report.corpus.posts,
        notice=f"\n{SYNTHETIC}\n" if report.corpus.synthetic else "",
        calibrated="calibrated" if confirmed else "not calibrated",
        thresholds=CONFIRMED if confirmed else TUNED,
        search=f"{search}\n\n" if search else "",
        limits="\n".join(f"- {limit}" for limit in corpus_limits(report.corpus, criteria)),
        source=corpus_source(report.corpus),
        source_hash=report.corpus.sha256[:16],
        splits=", ".join(f"{count} {part}" for part, count in report.corpus.splits.items()),
        redsm5=report.environment.redsm5,
        torch=report.environment.torch,
        transformers=report.environment.transformers,
        seed=report.environment.seed,
    )


def card_text(name: str) -> str:
    """A part of a card as it is shipped."""
    return (files("redsm5.inference") / name).read_text(encoding="utf-8")


def criteria_lines(criteria: Sequence[Criterion]) -> str:
    """The criteria as a list."""
    return "\n".join(f"- **{c.title}** (`{c.code}`): {c.text}" for c in criteria)


def corpus_limits(corpus: CorpusInfo, criteria: Sequence[Criterion]) -> list[str]:
    """What a corpus cannot teach."""
    if corpus.synthetic:
        return [
            f"{SYNTHETIC} Nobody wrote the training posts: phrases were put together.",
            "How well it does on posts of people is not known. It is for trying, testing and showing the code.",
        ]
    limits = ["It works for writers like those of its training posts."]
    if corpus.source.lower().startswith(REDSM5):
        limits[0] += f" {REDDIT.format(these='These')}"
    elif [c.code for c in criteria] == [c.code for c in load_criteria(None)]:
        limits[0] += f" {REDDIT.format(these='If they are those of ReDSM5, these')}"
    return [*limits, *LIMITS]


def corpus_source(corpus: CorpusInfo) -> str:
    """Where the corpus came from: of local paths the names alone, since they tell of a machine and its users."""
    kind = "synthetic, " if corpus.synthetic else ""
    if DATASET.fullmatch(corpus.source):
        return f"{kind}`{corpus.source}`"
    names = ", ".join(f"`{Path(part).name or part}`" for part in corpus.source.split(", "))
    return f"{kind}local, {names}"


def _headline(evaluation: Evaluation) -> str:
    lines = [f"- {name}: {value}" for name, value in evaluation.headline().items()]
    for key, words in (("tuned_f1_macro", "macro F1 at tuned thresholds"), ("hit_at_1", "hit@1")):
        if (interval := evaluation.intervals.get(key)) is not None:
            percent = round(100 * evaluation.bootstrap.level)
            lines.append(f"- {percent} % interval of {words}: {interval.low:.3f} to {interval.high:.3f}")
    return "\n".join(lines)


def criteria_table(evaluation: Evaluation) -> str:
    """Figures of each criterion, at tuned thresholds where there are any."""
    head = "| criterion | posts with it | threshold | precision | recall | F1 | AUPRC | hit@1 |"
    return "\n".join([head, "|---" * 8 + "|", *(_row(scores) for scores in evaluation.criteria)])


def _row(scores: CriterionScores) -> str:
    decided = scores.tuned or scores.at_half
    threshold = 0.5 if scores.threshold is None else scores.threshold
    values = (threshold, decided.precision, decided.recall, decided.f1, scores.auprc, scores.hit_at_1)
    cells = ["–" if value is None else f"{value:.2f}" for value in values]
    return f"| {scores.code} | {scores.support} | {' | '.join(cells)} |"
