"""Options of checkpoints."""

import math

import pytest

from redsm5.checkpoints.options import Checkpointing


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_checkpointing_refuses_seconds_that_are_none(value):
    with pytest.raises(ValueError, match=r"^min_seconds is .*; it must be a finite number of at least 0$"):
        Checkpointing(min_seconds=value)


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_checkpointing_refuses_minutes_that_are_none(value):
    with pytest.raises(ValueError, match=r"^every_minutes is .*; it must be a finite number of at least 0, or null$"):
        Checkpointing(every_minutes=value)


def test_checkpointing_refuses_states_within_an_epoch_of_which_none_is_kept():
    with pytest.raises(ValueError, match="set keep_last to 1"):
        Checkpointing(every_minutes=1.0, keep_last=0)
    assert Checkpointing(min_seconds=1.0, keep_last=0).min_seconds == 1
