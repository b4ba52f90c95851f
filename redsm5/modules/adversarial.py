"""Options of adversarial training. Torch-free."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redsm5.modules.perturbation import Attack


class Adversarial(ABC):
    """How the embeddings of a training batch are disturbed."""

    @abstractmethod
    def build(self) -> Attack | None:
        """The attack on a step; None where there is none."""


@dataclass(frozen=True)
class NoAdversarial(Adversarial):
    """Embeddings stay as they are."""

    def build(self) -> None:
        """None."""
        return


@dataclass(frozen=True)
class Strength:
    """The fields that attacks share. No ``Adversarial`` itself, or jsonargparse would offer it as one."""

    epsilon: float = 1e-3
    """Length of the disturbance of a window, in lengths of its embeddings; above 0, 1e-6 to 5e-3 are usual"""
    weight: float = 1.0
    """Weight of the loss under it, added to the plain one; above 0"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        for name in ("epsilon", "weight"):
            _check_above_zero(name, getattr(self, name))


@dataclass(frozen=True)
class FGM(Strength, Adversarial):
    """One step along the gradient (Miyato et al. 2017): a step takes some 2.4 times as long."""

    def build(self) -> Attack:
        """The attack."""
        from redsm5.modules.perturbation import Attack

        return Attack(epsilon=self.epsilon, step=self.epsilon, steps=1, weight=self.weight)


@dataclass(frozen=True)
class PGD(Strength, Adversarial):
    """Steps along the gradient, back into the ball each time (Madry et al. 2018): each adds 0.8 of a plain step."""

    steps: int = 3
    """How many, at least 1"""
    step_size: float = 0.5
    """Length of a step, in epsilons; above 0"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; it must be at least 1")
        _check_above_zero("step_size", self.step_size)

    def build(self) -> Attack:
        """The attack."""
        from redsm5.modules.perturbation import Attack

        step = self.step_size * self.epsilon
        return Attack(epsilon=self.epsilon, step=step, steps=self.steps, weight=self.weight)


def _check_above_zero(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value}; it must be a finite number above 0")
