"""A study and its confirmation for the tests, made up."""

from datetime import UTC, datetime

from report_samples import small_evaluation

from redsm5.confirm.models import Calibration, Candidate, Confirmation, Difference, Pooled
from redsm5.ensemble.combination import Combination
from redsm5.ensemble.models import Compared, Ensemble, Member
from redsm5.metrics.evaluation import Interval
from redsm5.report.study_models import (
    BestTrial,
    Counts,
    ObjectiveInfo,
    Shares,
    StudyReport,
    TestResult,
    TrialReport,
    TrialSeconds,
)

NOW = datetime(2025, 1, 2, tzinfo=UTC)
TestResult.__test__ = False


def trial(number=3, **changes):
    return TrialReport(
        created=NOW, study="s", trial=number, attempts=1, state="COMPLETE", reason="", detail="",
        objective="val_f1_macro", value=0.8, objectives={"val_f1_macro": 0.8}, best_epoch=1, epochs=4,
        stopped_early=False, pruned_at=None, metrics={}, params={}, settings={}, notes={}, batches=[],
        seconds=TrialSeconds(sampling=0, pretraining=0, start=0, fits=0, storage=0), memory_gb=None, worker="w:1",
        run=f"trials/0000{number}/attempt-1",
    ).model_copy(update=changes)  # fmt: skip


def study(*, tested=3, looks=1, several=False):
    names = ["val_f1_macro", "peak_memory"] if several else ["val_f1_macro"]
    result = TestResult(trial=tested, evaluation=small_evaluation(), value=0.667, optimism=0.133)
    return StudyReport(
        created=NOW, redsm5="0", study="s", storage="sqlite:////home/ada/secret/study.db", objective="val_f1_macro",
        direction="maximize", seed=5, sampler="TPESampler", pruner="MedianPruner", dimensions=124, budget=30,
        objectives=[ObjectiveInfo(name=n, direction="maximize" if n[0] == "v" else "minimize") for n in names],
        counts=Counts(complete=19, pruned=8, failed=3, running=0, lost_attempts=0), reasons={},
        shares=Shares(pruned=0.3, pruned_by_epoch_5=0.1, stopped_early=0.2, stopped_early_of_complete=0.2),
        best=[BestTrial(trial=7, value=0.82, val_loss=1.0, params={}, config={}, run="r", checkpoint=None)], front=[],
        first_within_one_percent=7, test=result, test_evaluations=looks, seconds={}, peak_disk_bytes=1,
    )  # fmt: skip


def candidate(number, rank, mean):
    pooled = Pooled(
        scores={"f1_macro": 0.61, "tuned_f1_macro": 0.66}, intervals={}, ece_macro=0.2, brier_macro=0.11,
        calibrated_ece_macro=0.05, calibrated_brier_macro=0.09, evaluation=small_evaluation(),
        thresholds=[Calibration(code="SLEEP", support=2, threshold=0.3, slope=0.5, offset=-1.0)],
    )  # fmt: skip
    return Candidate(
        trial=number, rank=rank, encoder="e", config_sha256="c", search_value=0.8, failed=[] if mean else ["why"] * 2,
        refits=15 if mean else 13, mean=mean, deviation=0.1, interval=Interval(low=0.55, high=0.75) if mean else None,
        search_difference=None if mean is None else 0.8 - mean, pooled_value=mean and mean + 0.01,
        unselected_value=mean and mean + 0.02, pooled=pooled if mean else None,
    )  # fmt: skip


def confirmation(*means):
    candidates = [candidate(number, rank, mean) for rank, (number, mean) in enumerate(means, start=1)]
    apart = [
        Difference(
            trial=means[0][0], other=number, refits=15, difference=0.04, interval=Interval(low=-0.02, high=0.1),
            p_value=0.2, p_holm=0.4, pooled_difference=0.05, pooled_interval=Interval(low=0.01, high=0.09),
            pooled_p_value=0.01, pooled_p_holm=0.02,
        )
        for number, mean in means[1:] if mean
    ]  # fmt: skip
    return Confirmation(
        created=NOW, redsm5="0", study="s", corpus_sha256="c", split_sha256="p", objective="val_f1_macro",
        direction="maximize", trials=30, folds=5, seeds=[1, 2, 3], posts=102, authors=60, training_posts=84,
        refit_training_posts=67.2, test_to_training=0.3, level=0.95, resamples=1000, best=means[0][0],
        candidates=candidates, differences=apart, refits=[], seconds=1.0,
    )  # fmt: skip


def ensemble(*values):
    """Of trials with these values, the best first; the ensemble gains 0.012 over it."""
    trials = [number for number, _ in values]
    gains = {"tuned_f1_macro": 0.012}, {"tuned_f1_macro": Interval(low=-0.01, high=0.034)}
    arms = [(f"trial {trials[0]}", "single", trials[:1], {}, {}), ("mean, equal", "ensemble", trials, *gains)]
    return Ensemble(
        created=NOW, redsm5="0", study="s", corpus_sha256="c", objective="val_f1_macro", direction="maximize",
        trials=30, posts=18, authors=9, folds=5, level=0.95, resamples=1000, chosen="mean, equal",
        members=[
            Member(trial=n, value=value, encoder="e", weight=1 / len(values), folder=None, sha256=None)
            for n, value in values
        ],
        combination=Combination(
            combine="mean", weights=[1 / len(values)] * len(values), ranks=None, scaling=None, agreement=0.5,
            max_spans=3, nms_iou=0.5,
        ),
        thresholds={"SLEEP": 0.4, "APPETITE": 0.5}, evaluation=small_evaluation(),
        compared=[
            Compared(name=name, kind=kind, trials=of, weights=[1 / len(of)] * len(of), scores={}, intervals={},
                     gains=gained, gain_intervals=ends)
            for name, kind, of, gained, ends in arms
        ],
    )  # fmt: skip
