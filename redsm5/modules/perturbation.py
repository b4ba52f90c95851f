"""Adversarial training: a disturbance of the embeddings that makes the loss of a batch larger.

The gradient is taken with ``torch.autograd.grad`` with respect to what the embeddings give out. No parameter changes
and none gets a gradient from it; nothing has to be put back, whatever fails in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn


class HasTotal(Protocol):
    """The losses of a batch."""

    total: Tensor
    """Scalar that is to grow"""


Losses = TypeVar("Losses", bound=HasTotal)


class Attack:
    """Ascends the loss within a ball around the embeddings of each window.

    Radius and steps are relative to the Euclidean length of the window's embeddings, tokens of padding left out: so one
    epsilon means the same for encoders whose embeddings differ in scale, and for short and long windows.

    Args:
        epsilon: Radius of the ball, in lengths of the window's embeddings.
        step: Length of a step, likewise.
        steps: Number of steps.
        weight: Weight of the loss at the end.
    """

    def __init__(self, *, epsilon: float, step: float, steps: int, weight: float) -> None:
        self.epsilon = epsilon
        self.step = step
        self.steps = steps
        self.weight = weight

    def __call__(
        self, embeddings: nn.Module, losses: Callable[[], Losses], scale: Callable[[Tensor], Tensor]
    ) -> tuple[Losses, Tensor]:
        """The losses of the batch as it is, and the total under attack.

        Every pass draws its own dropout masks.

        Args:
            embeddings: Gives out the embeddings [W, L, H]; called once in each pass.
            losses: Passes the batch through the network.
            scale: Scales a loss so that no gradient of half precision vanishes; only directions are read.
        """
        with _watched(embeddings, None) as seen:
            plain = losses()
        place = _only(seen)
        (gradient,) = torch.autograd.grad(scale(plain.total), place, retain_graph=True)
        base = place.detach()
        shift = self._moved(torch.zeros_like(base, dtype=torch.float32), gradient, base)
        for _ in range(self.steps - 1):
            with _watched(embeddings, shift) as seen:
                total = losses().total
            (gradient,) = torch.autograd.grad(scale(total), _only(seen))
            shift = self._moved(shift, gradient, base)
        with _watched(embeddings, shift):
            return plain, losses().total

    def _moved(self, shift: Tensor, gradient: Tensor, base: Tensor) -> Tensor:
        """One step on, and back into the ball; a window whose gradient is zero or no number stays where it is."""
        gradient = gradient.detach().float()
        # The loss does not depend on padding: its gradient is zero to the bit.
        read = (gradient != 0).any(dim=-1, keepdim=True)
        length = _norm(base.float() * read)
        # Divided by the largest value first: squares of a scaled loss's gradient might overflow.
        largest = gradient.abs().amax(dim=(1, 2), keepdim=True)
        usable = torch.isfinite(largest) & (largest > 0)
        direction = torch.where(usable, gradient / torch.where(usable, largest, 1.0), 0.0)
        direction = direction / _norm(direction).clamp(min=torch.finfo(torch.float32).tiny)
        moved = shift + self.step * length * direction
        far = _norm(moved)
        radius = self.epsilon * length
        moved = torch.where(far > radius, moved * (radius / far.clamp(min=torch.finfo(torch.float32).tiny)), moved)
        return torch.where(usable, moved, shift)


def _norm(values: Tensor) -> Tensor:
    """Euclidean length of each window, [W, 1, 1]."""
    length: Tensor = torch.linalg.vector_norm(values, dim=(1, 2), keepdim=True)
    return length


@contextmanager
def _watched(embeddings: nn.Module, shift: Tensor | None) -> Iterator[list[Tensor]]:
    """Note what the embeddings give out, shifted; let it have a gradient even if they are frozen."""
    seen: list[Tensor] = []

    def note(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        moved = output if shift is None else output + shift.to(output.dtype)
        if not moved.requires_grad:
            moved = moved.detach().requires_grad_()
        seen.append(moved)
        return moved

    handle = embeddings.register_forward_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


def _only(seen: list[Tensor]) -> Tensor:
    (place,) = seen
    return place
