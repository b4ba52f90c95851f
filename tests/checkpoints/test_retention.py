from pathlib import Path

import pytest
from checkpoint_samples import BASE
from hypothesis import given
from hypothesis import strategies as st

from redsm5.checkpoints.folder import Entry
from redsm5.checkpoints.manifest import CheckpointManifest
from redsm5.checkpoints.retention import MOST_BEST, surplus


def entry(kind, epoch, value=0.5, loss=1.0, size=100):
    files = {"weights.safetensors": {"bytes": size, "sha256": "0"}}
    manifest = CheckpointManifest(
        redsm5="1", kind=kind, epoch=epoch, step=epoch * 10, monitor="m", mode="max", value=value, val_loss=loss,
        base=BASE, files=files,
    )  # fmt: skip
    return Entry(Path(f"{kind}-{epoch}"), manifest)


def gone(lasts, bests, **policy):
    return {e.path.name for e in surplus(lasts, bests, **{"keep_last": 1, "keep_best": 1, "max_bytes": 1e9, **policy})}


@pytest.mark.parametrize(
    ("values", "keep_best", "kept"),
    [
        ([0.1, 0.5, 0.3], 1, {1}),
        ([0.1, 0.5, 0.3], 2, {1, 2}),
        ([0.5, 0.5, 0.3], 1, {0, 1}),  # as good as the best
        ([0.5, 0.5, 0.5, 0.5], 1, {0, 1}),  # two at most
        ([0.5, 0.5, 0.5], 2, {0, 1}),
        ([0.5, None], 1, {0}),
        ([None, None], 1, {0, 1}),
        ([0.5], 0, set()),
    ],
)
def test_best_are_kept_with_what_equals_them(values, keep_best, kept):
    bests = [entry("weights", epoch, value) for epoch, value in enumerate(values)]
    expected = {f"weights-{e}" for e in range(len(values)) if e not in kept}
    assert gone([], bests, keep_best=keep_best) == expected


def test_equal_values_are_ordered_by_loss():
    bests = [entry("weights", 0, loss=3.0), entry("weights", 1, loss=1.0), entry("weights", 2, loss=2.0)]
    assert gone([], bests) == {"weights-0"}


def test_newest_is_kept():
    lasts = [entry("resume", epoch) for epoch in range(4)]
    assert gone(lasts, []) == {"resume-0", "resume-1", "resume-2"}
    assert gone(lasts, [], keep_last=2) == {"resume-0", "resume-1"}
    assert gone(lasts, [], keep_last=0) == {f"resume-{e}" for e in range(4)}


def test_too_many_bytes_take_old_states_first_then_lesser_weights():
    lasts = [entry("resume", epoch, size=300) for epoch in range(3)]
    bests = [entry("weights", 0, 0.9), entry("weights", 1, 0.8)]
    policy = {"keep_last": 3, "keep_best": 2}
    assert gone(lasts, bests, **policy, max_bytes=1100) == set()
    assert gone(lasts, bests, **policy, max_bytes=1099) == {"resume-0"}
    assert gone(lasts, bests, **policy, max_bytes=799) == {"resume-0", "resume-1"}
    assert gone(lasts, bests, **policy, max_bytes=499) == {"resume-0", "resume-1", "weights-1"}
    assert gone(lasts, bests, **policy, max_bytes=0) == {"resume-0", "resume-1", "weights-1"}


@given(
    st.lists(st.tuples(st.sampled_from([None, 0.1, 0.2, 0.3]), st.sampled_from([1.0, 2.0])), max_size=8),
    st.integers(0, 8),
    st.integers(0, 3),
    st.integers(0, MOST_BEST),
    st.sampled_from([0, 250, 1e9]),
)
def test_newest_and_best_always_stay_and_limits_hold(values, n_lasts, keep_last, keep_best, max_bytes):
    lasts = [entry("resume", epoch) for epoch in range(n_lasts)]
    bests = [entry("weights", epoch, value, loss) for epoch, (value, loss) in enumerate(values)]
    dropped = gone(lasts, bests, keep_last=keep_last, keep_best=keep_best, max_bytes=max_bytes)
    left_lasts = [e for e in lasts if e.path.name not in dropped]
    left_bests = [e for e in bests if e.path.name not in dropped]
    if keep_last and lasts:
        assert lasts[-1] in left_lasts
    if keep_best and bests:
        assert min(bests, key=lambda e: e.manifest.rank) in left_bests
    assert len(left_lasts) <= keep_last
    assert len(left_bests) <= (MOST_BEST if keep_best else 0)
    total = sum(e.manifest.bytes for e in (*left_lasts, *left_bests))
    assert total <= max_bytes or (len(left_lasts) <= 1 and len(left_bests) <= 1)
