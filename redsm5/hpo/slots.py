"""The table of slots: each method is one transaction, and only one of several workers succeeds."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from optuna.storages._rdb import models
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Update,
    and_,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from redsm5.hpo.storage import created_once

STUDY = "redsm5:study"
"""System attribute of a study: its key here, since databases give the ids of deleted studies out again."""
SLOTS = Table(
    "redsm5_slots",
    MetaData(),
    Column("study", String(32), primary_key=True),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("token", Integer, nullable=False),
    Column("beats", Integer, nullable=False),
    Column("owner", Text),
    Column("done", Boolean, nullable=False),
)
STUDY_ATTRS: Table = models.StudySystemAttributeModel.__table__


@dataclass(frozen=True)
class Held:
    """A slot that a worker has."""

    slot: int
    token: int
    beats: int
    owner: str


class Slots:
    """Those of a study.

    Args:
        engine: Of its database.
        study_id: In it.
    """

    def __init__(self, engine: Engine, study_id: int) -> None:
        self.engine = engine
        created_once(lambda: SLOTS.create(engine, checkfirst=True))
        self.study: str = self.once(study_id, STUDY, uuid.uuid4().hex)
        self._ours = SLOTS.c.study == self.study

    def take(self, budget: int, owner: str) -> tuple[int, int] | None:
        """Slot and token of one that nobody has: begun before a new one; None when there is none."""
        while True:
            with suppress(IntegrityError), self.engine.begin() as connection:  # another worker wrote that row first
                free = select(SLOTS.c.slot, SLOTS.c.token).where(
                    self._ours, ~SLOTS.c.done, SLOTS.c.owner.is_(None), SLOTS.c.slot < budget
                )
                row = connection.execute(free.order_by(SLOTS.c.slot).limit(1)).first()
                if row is not None:
                    slot, token = row[0], row[1]
                    taken = self._change(slot, SLOTS.c.token == token, SLOTS.c.owner.is_(None))
                    if connection.execute(taken.values(token=token + 1, beats=0, owner=owner)).rowcount:
                        return slot, token + 1
                    continue
                top = connection.execute(select(func.max(SLOTS.c.slot)).where(self._ours)).scalar()
                slot = 0 if top is None else top + 1
                if slot >= budget:
                    return None
                new = {"study": self.study, "slot": slot, "token": 1, "beats": 0, "owner": owner, "done": False}
                connection.execute(insert(SLOTS).values(new))
                return slot, 1

    def beat(self, slot: int, token: int) -> bool:
        """Count a beat; whether the slot is still held with this token."""
        return self._run(self._change(slot, SLOTS.c.token == token).values(beats=SLOTS.c.beats + 1))

    def free(self, slot: int, token: int, beats: int | None = None) -> bool:
        """Take a slot from its owner, unless it has changed hands, or beaten since ``beats``."""
        seen = [SLOTS.c.token == token] if beats is None else [SLOTS.c.token == token, SLOTS.c.beats == beats]
        return self._run(self._change(slot, *seen).values(token=token + 1, beats=0, owner=None))

    def finish(self, slot: int, token: int | None = None) -> bool:
        """Note that a slot has its result; with a token only if it is held with it."""
        seen = [] if token is None else [SLOTS.c.token == token]
        return self._run(self._change(slot, *seen).values(done=True))

    def held(self) -> list[Held]:
        """Those that workers are at, alive or not."""
        query = select(SLOTS.c.slot, SLOTS.c.token, SLOTS.c.beats, SLOTS.c.owner)
        with self.engine.begin() as connection:
            rows = connection.execute(query.where(self._ours, ~SLOTS.c.done, SLOTS.c.owner.is_not(None))).all()
        return [Held(*row) for row in rows]

    def tokens(self, slots: Iterable[int]) -> dict[int, tuple[int, bool]]:
        """Slot -> its token, and whether it has its result."""
        query = select(SLOTS.c.slot, SLOTS.c.token, SLOTS.c.done).where(self._ours, SLOTS.c.slot.in_(set(slots)))
        with self.engine.begin() as connection:
            return {row[0]: (row[1], row[2]) for row in connection.execute(query)}

    def _change(self, slot: int, *seen: ColumnElement[bool]) -> Update:
        return update(SLOTS).where(and_(self._ours, SLOTS.c.slot == slot, ~SLOTS.c.done, *seen))

    def _run(self, change: Update) -> bool:
        with self.engine.begin() as connection:
            return connection.execute(change).rowcount > 0

    def once(self, study_id: int, key: str, value: Any) -> Any:
        """A system attribute of the study, as the first worker set it; the database lets only one of them write it."""
        wanted = and_(STUDY_ATTRS.c.study_id == study_id, STUDY_ATTRS.c.key == key)
        while True:
            with self.engine.begin() as connection:
                stored = connection.execute(select(STUDY_ATTRS.c.value_json).where(wanted)).scalar()
            if stored is not None:
                return json.loads(stored)
            with suppress(IntegrityError), self.engine.begin() as connection:
                new = {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
                connection.execute(insert(STUDY_ATTRS).values(new))
