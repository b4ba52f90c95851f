"""Calibrated probabilities: each criterion through a monotone function, decided as the raw ones are. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nextafter
from pathlib import Path
from typing import Any

import numpy as np

from redsm5.datamodules.corpus import Criterion
from redsm5.errors import UserError
from redsm5.metrics.platt import Platt
from redsm5.metrics.records import PredictedPost

LEAST = 1e-12
"""The least calibrated threshold: below it there must be numbers left for what is not decided."""


@dataclass(frozen=True)
class Calibration:
    """How the probabilities of a model are to be read.

    Attributes:
        maps: Per criterion, from the probability that the model gives to the calibrated one.
        raw_thresholds: Per criterion, for the former.
    """

    maps: tuple[Platt, ...]
    raw_thresholds: tuple[float, ...]

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The same for calibrated probabilities."""
        pairs = zip(self.maps, self.raw_thresholds, strict=True)
        return tuple(max(LEAST, float(platt(np.array([raw]))[0])) for platt, raw in pairs)

    def __call__(self, posts: Sequence[PredictedPost]) -> list[PredictedPost]:
        """The predictions with calibrated probabilities.

        What is decided stays so, also where the function is flat, or rounds two probabilities to one: then it is on its
        side of the threshold by the least that a number can differ.

        Args:
            posts: As the model gives them, with K criteria.
        """
        if not posts:
            return []
        raw = np.array([post.probabilities for post in posts], dtype=np.float64)
        found = np.stack([platt(raw[:, k]) for k, platt in enumerate(self.maps)], axis=1)
        for k, (at, threshold) in enumerate(zip(self.raw_thresholds, self.thresholds, strict=True)):
            decided = raw[:, k] >= at
            found[decided, k] = np.maximum(found[decided, k], threshold)
            found[~decided, k] = np.minimum(found[~decided, k], nextafter(threshold, 0.0))
        return [
            PredictedPost(post.post_id, tuple(own), post.candidates)
            for post, own in zip(posts, found.tolist(), strict=True)
        ]


@dataclass(frozen=True)
class Shipped:
    """What an export takes from predictions on posts that the model had not seen, in place of what the run has.

    Attributes:
        thresholds: By the code of the criterion, for the probability that the model gives.
        maps: By the same.
    """

    thresholds: Mapping[str, float]
    maps: Mapping[str, Platt]

    def check(self, criteria: Sequence[Criterion]) -> None:
        """See that they are of these criteria.

        Raises:
            UserError: They are not.
        """
        codes = {criterion.code for criterion in criteria}
        if self.thresholds.keys() != codes or self.maps.keys() != codes:
            raise UserError("the confirmation is of other criteria than the model; run redsm5 confirm again")

    @property
    def thresholds_json(self) -> str:
        """Text of ``thresholds.json``."""
        return json.dumps(dict(self.thresholds), indent=2) + "\n"

    @property
    def calibration_json(self) -> str:
        """Text of ``calibration.json``."""
        maps = {code: {"slope": platt.slope, "offset": platt.offset} for code, platt in self.maps.items()}
        return json.dumps(maps, indent=2) + "\n"


def read_calibration(file: Path, criteria: Sequence[Criterion], raw_thresholds: tuple[float, ...]) -> Calibration:
    """What ``calibration.json`` says.

    Args:
        file: It.
        criteria: In the order of the outputs.
        raw_thresholds: In the same order.

    Raises:
        UserError: It does not hold a slope from 0 and an offset per criterion.
    """
    try:
        values: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if values.keys() != {criterion.code for criterion in criteria}:
            raise ValueError
        maps = tuple(_platt(values[criterion.code]) for criterion in criteria)
    except (ValueError, AttributeError, TypeError, KeyError, OSError) as error:
        raise UserError(f"{file} does not hold a slope and an offset per criterion; export again") from error
    return Calibration(maps, raw_thresholds)


def _platt(values: Mapping[str, Any]) -> Platt:
    slope, offset = values["slope"], values["offset"]
    for value in (slope, offset):
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise ValueError
    if slope < 0 or values.keys() != {"slope", "offset"}:
        raise ValueError
    return Platt(float(slope), float(offset))
