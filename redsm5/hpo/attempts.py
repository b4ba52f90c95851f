"""Attempts: the Optuna trials of a slot, in order of which at most the last is a result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Engine, Table, and_, delete, select

SLOT, TOKEN = "redsm5:slot", "redsm5:token"
"""System attributes of an attempt."""
KEPT, STEP = "redsm5:kept", "redsm5:step"
"""System attributes of an attempt: those of the ``Kept`` that it began from."""
LOST = "lost"
"""User attribute of an attempt whose worker was lost: its FAIL is no result."""
RELEASED = "its worker was told to stop"
"""Value of that attribute where the worker let its trial go by itself."""
TRIALS: Table = models.TrialModel.__table__
ATTRS: Table = models.TrialSystemAttributeModel.__table__
USER_ATTRS: Table = models.TrialUserAttributeModel.__table__
VALUES: Table = models.TrialIntermediateValueModel.__table__


@dataclass(frozen=True, order=True)
class Kept:
    """What of a training is in the checkpoint that an attempt begins from; one that came further is larger."""

    epoch: int = -1
    """The last one that has ended in it; -1 without any"""
    step: int = 0
    """Optimizer steps in it: a job may be too short for an epoch"""
    token: int | None = field(default=None, compare=False)
    """Of the attempt that wrote it; None where that is not known"""


@dataclass(frozen=True)
class Made:
    """An attempt as the database has it, without what is dear to read."""

    trial_id: int
    state: TrialState
    slot: int
    token: int
    """That its worker held the slot with"""
    lost: bool
    released: bool
    """Whether its worker let it go by itself"""
    kept: Kept = Kept()
    """What it began from"""

    @property
    def has_result(self) -> bool:
        """Whether it counts: a lost one does only when its worker had told its value before it was ended."""
        return self.state in (TrialState.COMPLETE, TrialState.PRUNED) or (
            self.state == TrialState.FAIL and not self.lost
        )


def is_lost(trial: FrozenTrial) -> bool:
    """Whether a trial is an attempt that ended with its worker: neither result nor failure."""
    return trial.state == TrialState.FAIL and LOST in trial.user_attrs


def attempts(engine: Engine, study_id: int, *, slot: int | None = None, state: TrialState | None = None) -> list[Made]:
    """The attempts of a study, oldest first.

    Args:
        engine: Of its database.
        study_id: In it.
        slot: Only of this one.
        state: Only in this one.
    """
    slots, tokens, kept, steps = ATTRS.alias(), ATTRS.alias(), ATTRS.alias(), ATTRS.alias()
    query = (
        select(
            TRIALS.c.trial_id,
            TRIALS.c.state,
            slots.c.value_json,
            tokens.c.value_json,
            USER_ATTRS.c.value_json,
            kept.c.value_json,
            steps.c.value_json,
        )
        .join(slots, and_(slots.c.trial_id == TRIALS.c.trial_id, slots.c.key == SLOT))
        .join(tokens, and_(tokens.c.trial_id == TRIALS.c.trial_id, tokens.c.key == TOKEN))
        .outerjoin(kept, and_(kept.c.trial_id == TRIALS.c.trial_id, kept.c.key == KEPT))
        .outerjoin(steps, and_(steps.c.trial_id == TRIALS.c.trial_id, steps.c.key == STEP))
        .outerjoin(USER_ATTRS, and_(USER_ATTRS.c.trial_id == TRIALS.c.trial_id, USER_ATTRS.c.key == LOST))
        .where(TRIALS.c.study_id == study_id)
    )
    if slot is not None:
        query = query.where(slots.c.value_json == str(slot))
    if state is not None:
        query = query.where(TRIALS.c.state == state)
    with engine.begin() as connection:
        rows = connection.execute(query.order_by(TRIALS.c.trial_id)).all()
    return [
        Made(
            row[0], row[1], int(row[2]), int(row[3]), row[4] is not None, row[4] == json.dumps(RELEASED),
            Kept(-1 if row[5] is None else int(row[5]), int(row[6] or 0)),
        )
        for row in rows
    ]  # fmt: skip


def in_vain(before: Sequence[Made], kept: Kept) -> list[Made]:
    """The attempts that have ended since the trial last came further than ever before.

    Args:
        before: All attempts at the slot so far.
        kept: What the next one begins from.
    """
    ordered = sorted(before, key=lambda made: (made.token, made.trial_id))
    begun = [*(made.kept for made in ordered), kept]
    return ordered[begun.index(max(begun)) :]


def forget_values(engine: Engine, trial_id: int, step: int) -> None:
    """Remove the values that a running trial has reported from a step on; Optuna itself never takes one back."""
    with engine.begin() as connection:
        connection.execute(delete(VALUES).where(VALUES.c.trial_id == trial_id, VALUES.c.step >= step))


def again(earlier: FrozenTrial, keep: int) -> FrozenTrial:
    """What an attempt begins with that goes on from another: all but its later values.

    Args:
        earlier: That was lost.
        keep: The last step whose value is taken over.
    """
    return create_trial(
        state=TrialState.RUNNING,
        params=earlier.params,
        distributions=earlier.distributions,
        user_attrs={key: value for key, value in earlier.user_attrs.items() if key != LOST},
        system_attrs=earlier.system_attrs,
        intermediate_values={step: value for step, value in earlier.intermediate_values.items() if step <= keep},
    )
