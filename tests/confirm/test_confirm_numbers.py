"""From refits and predictions to the numbers, their words, and what is the same."""

from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
from report_samples import small_evaluation
from scipy import stats

from redsm5.callbacks.early_stopping import Monitor
from redsm5.confirm.metric import COMPUTED, metric_of
from redsm5.confirm.models import Confirmation, Refit
from redsm5.confirm.numbers import Setup, confirmation
from redsm5.confirm.pooled import out_of_fold
from redsm5.confirm.sameness import config_sha256, folds_name
from redsm5.confirm.table import rows, sentences
from redsm5.confirm.tasks import Chosen, tasks_of
from redsm5.datamodules.corpus import Corpus
from redsm5.datamodules.split import Split
from redsm5.errors import UserError
from redsm5.metrics.records import GoldPost, PredictedPost

IDS = tuple(f"p{i}" for i in range(120))
LABELS = np.random.default_rng(0).random((120, 2)) < 0.4
GOLD = [
    GoldPost(post, f"a{i}", tuple(int(x) for x in labels), ((), ()), (False,) * 2, ((), ()), (), ())
    for i, (post, labels) in enumerate(zip(IDS, LABELS, strict=True))
]
FOLDS = tuple(tuple(IDS[fold::4]) for fold in range(4))
SPLITS = tuple(Split(tuple(p for p in IDS if p not in fold)[:60], IDS[:30], fold) for fold in FOLDS * 2)


def predictions(share, seed):
    """Out-of-fold predictions of which a share is right."""
    rng = np.random.default_rng(seed)
    right = rng.random(LABELS.shape) < share
    p = np.where(right == LABELS, 0.8, 0.2)
    posts = {post: PredictedPost(post, tuple(own), ((), ())) for post, own in zip(IDS, p.tolist(), strict=True)}
    return out_of_fold(GOLD, [[posts[post] for post in fold] for fold in FOLDS])


def made(values, shares, *, objective="val_f1_macro", mode="max", failed=()):
    """A confirmation of trials 0, 1, ... with these values in 8 refits each, and predictions as good as the shares."""
    setup = Setup(
        "s", "c", "p", ("A", "B"), objective, metric_of(objective), mode, 9, 4, (1, 2), 0, SPLITS, frozenset(IDS[:70])
    )
    trials = [
        Chosen(SimpleNamespace(trial=i, value=0.9), Path("config.yaml"), "sha", "enc", "") for i in range(len(values))
    ]
    refits = [
        Refit(trial=i, seed=1 + j // 4, fold=j % 4, failed="why" if i in failed else "", value=value, val_value=0.5,
              best_epoch=1, epochs=2, seconds=1.0, halvings=0)
        for i, own in enumerate(values)
        for j, value in enumerate(own)
    ]  # fmt: skip
    return confirmation(setup, trials, refits, GOLD, lambda i: [predictions(shares[i], 2 * i + s) for s in (0, 1)])


BASE = np.array([0.70, 0.72, 0.68, 0.71, 0.69, 0.70, 0.73, 0.67])
NOISE = np.array([0.01, -0.01, 0.02, -0.02, 0.0, 0.01, -0.01, 0.0])


def test_best_and_what_it_is_compared_with_are_means_over_refits():
    """The one with the better mean has the worse predictions: it stays the best, and that is said."""
    found = made([BASE - 0.02 + NOISE, BASE], [0.95, 0.7])
    assert found.best == 1
    [apart] = found.differences
    assert (apart.trial, apart.other) == (1, 0)
    assert apart.difference == pytest.approx(0.02 - NOISE.mean())
    best, other = found.candidates
    assert apart.difference == pytest.approx(best.mean - other.mean)
    assert apart.pooled_difference == pytest.approx(best.pooled_value - other.pooled_value)
    assert apart.pooled_difference < -0.1
    [said] = [line for line in sentences(found) if "folds together, though" in line]
    assert said.endswith("(paired bootstrap, Holm): 0.")
    assert rows(found)[1][-1].startswith(f"{other.pooled_value:.4f} (-0.")


def test_differences_are_tested_per_refit_and_corrected_over_the_pairs():
    found = made([BASE, BASE - 0.01 + NOISE, BASE - 0.2 + NOISE, BASE - 0.02 - NOISE], [0.9] * 4)
    ratio = sum(len(split.test) for split in SPLITS) / sum(len(split.train) for split in SPLITS)
    assert found.test_to_training == pytest.approx(ratio) == pytest.approx(30 / 60)
    assert found.refit_training_posts == 60
    p = {}
    for other, apart in ((1, 0.01 - NOISE), (2, 0.2 - NOISE), (3, 0.02 + NOISE)):
        error = np.sqrt((1 / 8 + ratio) * apart.var(ddof=1))
        p[other] = 2 * stats.t.sf(apart.mean() / error, 7)
        [one] = [one for one in found.differences if one.other == other]
        assert one.p_value == pytest.approx(p[other])
        assert one.interval.high == pytest.approx(apart.mean() + stats.t.ppf(0.975, 7) * error)
    assert p[2] < p[3] < p[1]
    corrected = {one.other: one.p_holm for one in found.differences}
    assert corrected[2] == pytest.approx(3 * p[2])
    assert corrected[3] == pytest.approx(2 * p[3])
    assert corrected[1] == pytest.approx(max(p[1], 2 * p[3]))
    said = "\n".join(sentences(found))
    assert "chosen among 4 by these very values" in said
    assert (
        "Not to be told from it (corrected resampled t-test of the differences, Holm over 3 pairs): trial 1, 3." in said
    )
    assert "Worse than it (corrected resampled t-test of the differences, Holm over 3 pairs): 2." in said


def test_difference_to_the_search_counts_training_posts_and_posts_that_did_not_select():
    found = made([BASE], [0.9])
    [one] = found.candidates
    assert one.search_difference == pytest.approx(0.9 - BASE.mean())
    whole = predictions(0.9, 0), predictions(0.9, 1)
    for value, kept in ((one.pooled_value, slice(None)), (one.unselected_value, slice(70))):
        by_hand = []
        for own in whole:
            truth, guess = own.paired.labels[kept], own.paired.probabilities[kept] >= 0.5
            by_hand.append(np.mean(2 * (truth & guess).sum(0) / (truth.sum(0) + guess.sum(0))))
        assert value == pytest.approx(np.mean(by_hand))
    said = "\n".join(sentences(found))
    assert "trained on 60 posts, the trials of the search on 70" in said
    assert "optimism" not in said
    assert f"{one.unselected_value:.4f} on the 70 posts that took no part in choosing it" in said


def test_metric_that_is_minimised_turns_all_round():
    found = made([BASE, BASE - 0.2 + NOISE], [0.9, 0.9], objective="val_hard_negative_rate", mode="min")
    assert found.best == 1
    assert found.candidates[0].search_difference == pytest.approx((BASE - 0.2 + NOISE).mean() - 0.9)
    assert found.differences[0].difference < 0


def test_metric_without_bootstrap_says_so():
    found = made([BASE, BASE - 0.2 + NOISE], [0.9, 0.6], objective="val_f1_weighted")
    [apart] = found.differences
    assert apart.pooled_difference is apart.pooled_interval is apart.pooled_p_value is apart.pooled_p_holm is None
    assert apart.p_value < 0.05
    assert "There is no paired bootstrap of f1_weighted; the t-test stands alone." in sentences(found)
    assert found.candidates[0].pooled_value > 0.8


def test_candidate_with_a_failed_refit_is_not_confirmed_and_the_others_are():
    found = made([BASE, BASE - 0.1], [0.9, 0.9], failed=(0,))
    assert found.best == 1
    assert [one.mean is None for one in found.candidates] == [False, True]
    assert found.differences == []
    assert Confirmation.model_validate_json(found.model_dump_json()) == found
    none = made([BASE], [0.9], failed=(0,))
    assert none.best is None
    assert "None of them was confirmed" in sentences(none)[1]


def test_mean_says_over_how_many_refits_it_is():
    found = made([[*BASE[:6], None, None], [None] * 8], [0.9, 0.9])
    first, other = found.candidates
    assert (first.refits, other.refits) == (6, 0)
    assert first.mean == pytest.approx(np.mean(BASE[:6]))
    assert "mean over 6 of 8 refits, as f1_macro is undefined on the folds of the others" in sentences(found)[1]
    assert (other.mean, other.failed) == (None, [])
    assert rows(found)[1][2] == "undefined"


@pytest.mark.parametrize("objective", get_args(Monitor))
def test_objective_is_computed_on_folds_or_refused(objective):
    if objective == "val_loss":
        with pytest.raises(UserError, match="val_loss, which is not computed on folds"):
            metric_of(objective)
    else:
        assert metric_of(objective) == objective.removeprefix("val_")


def test_computed_metrics_are_those_of_an_evaluation():
    scalars = small_evaluation().scalars()
    assert {key for key in scalars if not key.startswith(("tuned_", "end_to_end_"))} <= COMPUTED | {
        "auroc_macro", "ece_macro", "brier_macro",
    }  # fmt: skip
    assert {"f1_macro", "f1_weighted", "hit_at_1", "evidence_token_f1"} <= COMPUTED & scalars.keys()


def test_folder_of_the_folds_is_named_after_all_that_decides_them():
    corpus = Corpus((), (), (), "sha", "made")
    split = Split(("a", "b", "c"), ("d",), ("e",))
    name = folds_name(corpus, split, 5, "author")
    assert folds_name(corpus, Split(("c", "a", "b"), ("d",), ("e",)), 5, "author") == name
    others = {
        folds_name(corpus, Split(("a", "b", "e"), ("d",), ("c",)), 5, "author"),
        folds_name(corpus, Split(("a", "b", "d"), ("c",), ("e",)), 5, "author"),
        folds_name(corpus, split, 4, "author"),
        folds_name(corpus, split, 5, "post"),
        folds_name(Corpus((), (), (), "other", "made"), split, 5, "author"),
    }
    assert len(others | {name}) == 6


def test_config_is_the_same_wherever_its_files_lie(tmp_path):
    text = (
        "# {0}\nrun_dir: {0}\ndata:\n  path: {0}/corpus\n  max_length: {1}\n"
        "model:\n  encoder:\n    id: {0}/tiny-encoders/{2}\n"
    )
    shas = []
    for place, length, encoder in [
        ("/x", 64, "bert-1"),
        ("/y", 64, "bert-1"),
        ("/x", 96, "bert-1"),
        ("/x", 64, "bert-2"),
    ]:
        (tmp_path / "config.yaml").write_text(text.format(place, length, encoder), encoding="utf-8")
        shas.append(config_sha256(tmp_path / "config.yaml"))
    assert shas[0] == shas[1]
    assert len(set(shas)) == 3


def test_file_of_a_fold_that_says_something_else_is_written_anew(tmp_path):
    report = SimpleNamespace(trial=0, objective="val_f1_macro")
    trial = Chosen(report, tmp_path / "config.yaml", "sha", "enc", "")
    old, new = Split(("a", "b"), ("c",), ("d",)), Split(("a", "d"), ("c",), ("b",))
    [before] = tasks_of([trial], {(1, 0): old}, tmp_path, None)
    [after] = tasks_of([trial], {(1, 0): new}, tmp_path, None)
    assert before.folder == after.folder
    assert before.of != after.of
    assert "d,train" in (tmp_path / "seed-1-fold-0.csv").read_text(encoding="utf-8")
