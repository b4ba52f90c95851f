"""The criteria losses as modules: equations in ``docs/tuning/losses-and-regularisation.md``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Chosen = Callable[[Tensor], Tensor]
"""From one value per criterion [K] to those of the logits: [K], or [E, 1] for pairs."""


class PerOutput(nn.Module, ABC):
    """A loss per output, averaged over the outputs of an example.

    Args:
        n_criteria: Number of criteria.
        label_smoothing: s; labels y become y (1 - s) + s / 2.
    """

    def __init__(self, n_criteria: int, label_smoothing: float) -> None:
        super().__init__()
        self.n_criteria = n_criteria
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor, criterion: Tensor) -> Tensor:
        """Loss per example.

        Args:
            logits: [E, K], K = number of criteria, or 1 for pairs.
            labels: fp32 [E, K], 0 or 1.
            criterion: int64 [E], the criterion of a pair; not read where K is the number of criteria.

        Returns:
            fp32 [E].
        """
        for_pairs = logits.shape[1] != self.n_criteria

        def chosen(values: Tensor) -> Tensor:
            return values[criterion].unsqueeze(-1) if for_pairs else values

        targets = labels * (1 - self.label_smoothing) + self.label_smoothing / 2
        return self.losses(logits.float(), targets, chosen).mean(dim=1)

    @abstractmethod
    def losses(self, logits: Tensor, targets: Tensor, chosen: Chosen) -> Tensor:
        """Loss per output.

        Args:
            logits: fp32 [E, K].
            targets: fp32 [E, K], 0 to 1.
            chosen: Picks values that are given per criterion.
        """

    def learned(self) -> dict[str, Tensor]:
        """Scalars by the name they are logged under: what the loss has learned."""
        return {}


class CrossEntropy(PerOutput):
    """Binary cross-entropy with a weight on positives.

    Args:
        pos_weights: Weight of a positive, per criterion.
        label_smoothing: As for ``PerOutput``.
    """

    pos_weights: Tensor

    def __init__(self, pos_weights: Sequence[float], label_smoothing: float) -> None:
        super().__init__(len(pos_weights), label_smoothing)
        # Not persistent: the training labels and the option give it again.
        self.register_buffer("pos_weights", torch.tensor(pos_weights, dtype=torch.float32), persistent=False)

    def losses(self, logits: Tensor, targets: Tensor, chosen: Chosen) -> Tensor:
        """The cross-entropy."""
        weights = chosen(self.pos_weights)
        return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights, reduction="none")


class FocalLoss(PerOutput):
    """Focal loss, Lin et al. 2017, eq. 4 and 5; a smoothed label is the mean over what it may stand for.

    Args:
        n_criteria: Number of criteria.
        label_smoothing: As for ``PerOutput``.
        gamma: Focusing parameter.
        alpha: Weight of positives, that of negatives being 1 - alpha; None for 1 and 1.
    """

    def __init__(self, n_criteria: int, label_smoothing: float, *, gamma: float, alpha: float | None) -> None:
        super().__init__(n_criteria, label_smoothing)
        self.gamma = gamma
        self.weights = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)

    def losses(self, logits: Tensor, targets: Tensor, chosen: Chosen) -> Tensor:
        """The focal loss."""
        positive, negative = focal(logits, self.gamma)
        return self.weights[0] * targets * positive + self.weights[1] * (1 - targets) * negative


class AdaptiveFocalLoss(PerOutput):
    """Focal loss with a learned gamma per criterion.

    The focal loss falls as gamma grows, whatever the logits: left alone, gamma would run off. A quadratic pull to
    where it began, which is a normal prior, makes a criterion's gamma settle the higher, the less settled its examples.

    Args:
        n_criteria: Number of criteria.
        label_smoothing: As for ``PerOutput``.
        gamma: Where each gamma begins.
        pull: Weight of the squared distance to it, averaged over the criteria.
    """

    def __init__(self, n_criteria: int, label_smoothing: float, *, gamma: float, pull: float) -> None:
        super().__init__(n_criteria, label_smoothing)
        self.centre, self.pull = gamma, pull
        start = torch.tensor(gamma, dtype=torch.float64)
        # The inverse of softplus, which keeps gamma above 0.
        self.raw_gamma = nn.Parameter((start + torch.log(-torch.expm1(-start))).float().repeat(n_criteria))

    @property
    def gamma(self) -> Tensor:
        """[K], the present ones."""
        return F.softplus(self.raw_gamma)

    def losses(self, logits: Tensor, targets: Tensor, chosen: Chosen) -> Tensor:
        """The focal loss and the pull."""
        positive, negative = focal(logits, chosen(self.gamma))
        pull = self.pull * (self.gamma - self.centre).square().mean()
        return targets * positive + (1 - targets) * negative + pull

    def learned(self) -> dict[str, Tensor]:
        """The mean gamma."""
        return {"gamma": self.gamma.detach().mean()}


class HybridLoss(PerOutput):
    """Cross-entropy and focal loss in fixed shares.

    Args:
        n_criteria: Number of criteria.
        label_smoothing: As for ``PerOutput``.
        alpha: Share of the cross-entropy.
        gamma: Of the focal loss.
    """

    def __init__(self, n_criteria: int, label_smoothing: float, *, alpha: float, gamma: float) -> None:
        super().__init__(n_criteria, label_smoothing)
        self.alpha = alpha
        self.gamma = gamma

    def losses(self, logits: Tensor, targets: Tensor, chosen: Chosen) -> Tensor:
        """The mixture."""
        positive, negative = focal(logits, self.gamma)
        plain = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return self.alpha * plain + (1 - self.alpha) * (targets * positive + (1 - targets) * negative)


def focal(logits: Tensor, gamma: float | Tensor) -> tuple[Tensor, Tensor]:
    """Focal losses were the label 1, and were it 0: ``(1 - p)^gamma (-log p)`` and ``p^gamma (-log (1 - p))``.

    The powers are taken in logs: where p is 0 or 1 to the last bit, the gradient still is a number.

    Args:
        logits: fp32, any shape.
        gamma: A number, or a tensor that broadcasts.
    """
    log_p, log_not_p = F.logsigmoid(logits), F.logsigmoid(-logits)
    return torch.exp(gamma * log_not_p) * -log_p, torch.exp(gamma * log_p) * -log_not_p
