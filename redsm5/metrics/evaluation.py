"""The numbers of one evaluation as a model that can be written as JSON: ids of criteria, never text of posts."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """Base of all report models: immutable, no foreign fields, no NaN; a field may not be undescribed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Interval(Frozen):
    """An interval of confidence; the field that holds it says how it was made."""

    low: float = Field(description="Lower end.")
    high: float = Field(description="Upper end.")


class Bootstrap(Frozen):
    """How the intervals were made."""

    resamples: int = Field(ge=0, description="Number of resamples of authors; 0 for no intervals.")
    level: float = Field(gt=0, lt=1, description="Coverage of the intervals.")
    seed: int = Field(description="Seed of the resampling.")


class DecisionScores(Frozen):
    """Precision, recall and F1 of one criterion; null where it has no support."""

    precision: float | None = Field(description="True positives over predicted; 0 where nothing is predicted.")
    recall: float | None = Field(description="True positives over support.")
    f1: float | None = Field(description="Harmonic mean of precision and recall; 0 without a true positive.")


class CriterionScores(Frozen):
    """One criterion, over all posts."""

    code: str = Field(description="Code of the criterion.")
    support: int = Field(ge=0, description="Posts with the criterion.")
    prevalence: float = Field(ge=0, le=1, description="Share of posts with the criterion: AUPRC of a random order.")
    at_half: DecisionScores = Field(description="At threshold 0.5.")
    threshold: float | None = Field(description="Threshold tuned on the validation part; null where none was given.")
    tuned: DecisionScores | None = Field(description="At the tuned threshold; null where none was given.")
    auroc: float | None = Field(description="Area under the ROC curve; null where a class is missing.")
    auprc: float | None = Field(description="Average precision; null without support.")
    ece: float = Field(ge=0, le=1, description="Expected calibration error over 15 equal-width bins.")
    brier: float = Field(ge=0, le=1, description="Mean squared error of the probability.")
    evidence_pairs: int = Field(ge=0, description="Posts with the criterion whose evidence is fully aligned.")
    hit_at_1: float | None = Field(description="Hit@1 given the gold criteria; null without such posts.")
    evidence_token_f1: float | None = Field(description="Token F1 given the gold criteria; null without spans.")


class CriteriaSummary(Frozen):
    """All criteria at one set of thresholds."""

    f1_macro: float = Field(description="Mean F1 over criteria with support; zero for one without a true positive.")
    f1_micro: float = Field(description="F1 of the counts summed over criteria.")
    f1_weighted: float = Field(description="Mean F1 weighted by support.")
    precision_micro: float | None = Field(description="Precision of the summed counts; null where nothing is there.")
    recall_micro: float | None = Field(description="Recall of the summed counts; null where nothing is there.")
    exact_match: float = Field(description="Share of posts with every criterion right (subset accuracy).")
    count_mae: float = Field(description="Mean absolute error of the number of criteria with evidence per post.")
    predicted_counts: tuple[int, ...] = Field(description="Posts with 0, 1, ... predicted criteria.")
    no_symptoms_f1_micro: float = Field(description="Micro F1 with NO_SYMPTOMS as one more class.")
    no_symptoms_f1_macro: float = Field(description="Macro F1 with NO_SYMPTOMS as one more class.")


class Published(Frozen):
    """A published baseline on the variant with NO_SYMPTOMS, on its authors' own split."""

    name: str = Field(description="The published model.")
    f1_micro: float = Field(description="Published micro F1.")
    f1_macro: float = Field(description="Published macro F1.")


class EvidenceScores(Frozen):
    """Evidence binding, all counts summed over (post, criterion) pairs; null where there is nothing to score."""

    exact_match: float | None = Field(description="Share of pairs whose predicted spans are exactly the gold spans.")
    token_precision: float | None = Field(description="Precision over words that spans touch.")
    token_recall: float | None = Field(description="Recall over words that spans touch.")
    token_f1: float | None = Field(description="F1 over words that spans touch; null where words are not given.")
    char_precision: float | None = Field(description="Precision over characters.")
    char_recall: float | None = Field(description="Recall over characters.")
    char_f1: float | None = Field(description="F1 over characters.")
    iou_precision: float | None = Field(description="Share of predicted spans matched one to one with IoU >= 0.5.")
    iou_recall: float | None = Field(description="Share of gold spans matched one to one with IoU >= 0.5.")
    iou_f1: float | None = Field(description="F1 of spans matched one to one with IoU >= 0.5.")
    sentence_precision: float | None = Field(description="Precision over sentences that spans select.")
    sentence_recall: float | None = Field(description="Recall over sentences that spans select.")
    sentence_f1: float | None = Field(description="F1 over sentences that spans select.")
    hit_at_1: float | None = Field(description="Share of gold pairs whose best span has IoU >= 0.5 or the sentence.")
    mrr: float | None = Field(description="Mean reciprocal rank of the first such span.")
    null_accuracy: float | None = Field(description="Share of pairs without evidence on which nothing is bound.")
    hard_negative_rate: float | None = Field(description="Share of hard negatives that a predicted span takes.")


class Evaluation(Frozen):
    """One model on one part of the corpus."""

    posts: int = Field(ge=1, description="Posts scored.")
    authors: int = Field(ge=1, description="Authors of these posts: what the bootstrap resamples.")
    criteria: tuple[CriterionScores, ...] = Field(description="Per criterion, in the order of the outputs.")
    at_half: CriteriaSummary = Field(description="All criteria at threshold 0.5.")
    tuned: CriteriaSummary | None = Field(description="All criteria at tuned thresholds; null where none were given.")
    auroc_macro: float | None = Field(description="Mean AUROC over the criteria where it is defined.")
    auprc_macro: float | None = Field(description="Mean AUPRC over the criteria with support.")
    ece_macro: float = Field(description="Mean expected calibration error over criteria.")
    brier_macro: float = Field(description="Mean Brier score over criteria.")
    gold_counts: tuple[int, ...] = Field(description="Posts with 0, 1, ... criteria with evidence.")
    published: tuple[Published, ...] = Field(description="Published rows for the NO_SYMPTOMS variant, for reference.")
    evidence_given_gold: EvidenceScores = Field(description="Evidence given the gold criteria.")
    evidence_end_to_end: EvidenceScores = Field(
        description="Evidence of the predicted criteria, at tuned thresholds where given, else at 0.5."
    )
    evidence_pairs: int = Field(ge=0, description="(post, criterion) pairs with evidence that is fully aligned.")
    left_out_pairs: int = Field(ge=0, description="Pairs left out of evidence metrics: some evidence did not align.")
    span_threshold: float = Field(description="A span is predicted where its score is above this.")
    bootstrap: Bootstrap = Field(description="Settings of the intervals.")
    intervals: dict[str, Interval] = Field(description="Bootstrap intervals by the keys of the metrics file.")

    def scalars(self) -> dict[str, float]:
        """The headline numbers under the keys of ``metrics.csv`` (no prefix); undefined ones are left out."""
        found: dict[str, float | None] = {**_summary(self.at_half)}
        if self.tuned is not None:
            found |= {f"tuned_{key}": value for key, value in _summary(self.tuned).items()}
        found |= {
            "auroc_macro": self.auroc_macro,
            "auprc_macro": self.auprc_macro,
            "ece_macro": self.ece_macro,
            "brier_macro": self.brier_macro,
        }
        found |= {evidence_key(k): v for k, v in self.evidence_given_gold.model_dump().items()}
        found |= {f"end_to_end_{evidence_key(k)}": v for k, v in self.evidence_end_to_end.model_dump().items()}
        return {key: value for key, value in found.items() if value is not None}

    def headline(self) -> dict[str, str]:
        """The few numbers that stand at the head of a page, by name, as text with three decimals."""
        scalars = self.scalars()
        prefix, at = ("", "at threshold 0.5") if self.tuned is None else ("tuned_", "at tuned thresholds")
        named = {
            f"macro F1 {at}": f"{prefix}f1_macro",
            f"micro F1 {at}": f"{prefix}f1_micro",
            "hit@1 given the gold criteria": "hit_at_1",
            "token F1 given the gold criteria": "evidence_token_f1",
            "token F1 end to end": "end_to_end_evidence_token_f1",
        }
        return {"posts": str(self.posts), **{name: f"{scalars[k]:.3f}" for name, k in named.items() if k in scalars}}


UNPREFIXED_EVIDENCE = ("hit_at_1", "mrr", "null_accuracy", "hard_negative_rate")
"""Evidence metrics whose names say already what they are of."""


def evidence_key(field: str) -> str:
    """The key in logs of a field of ``EvidenceScores``: ``evidence_token_f1``, but ``hit_at_1``."""
    return field if field in UNPREFIXED_EVIDENCE else f"evidence_{field}"


def _summary(summary: CriteriaSummary) -> dict[str, float | None]:
    values: dict[str, float | None] = summary.model_dump(exclude={"predicted_counts"})
    return values


def mean_of_known(values: Sequence[float | None]) -> float | None:
    """The mean of those that are defined; None where none is."""
    known = [value for value in values if value is not None]
    return float(sum(known) / len(known)) if known else None
