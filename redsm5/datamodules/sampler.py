"""Walks through the batch plan; every rank and every number of workers sees the same batches for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch.utils.data import Sampler

from redsm5.datamodules.batching import Batching
from redsm5.datamodules.dataset import PlannedBatch, PostDataset
from redsm5.datamodules.formats import Example
from redsm5.datamodules.plan import plan


class PlanSampler(Sampler[PlannedBatch]):
    """Yields whole batches.

    It is the ``sampler`` of a DataLoader without automatic batching (``batch_size=None``): Lightning then tells it the
    epoch, and workers build whole batches.

    Args:
        dataset: Knows the sizes of examples.
        examples: The examples of an epoch; their number and sizes are the same in every epoch.
        batching: How many make a batch.
        seed: Of the run.
        rank: This process.
        world_size: Number of processes; each gets the same number of batches.
        position: Epoch and batches of it that were consumed before an interruption: they are left out.
    """

    def __init__(
        self,
        dataset: PostDataset,
        examples: Callable[[int], list[Example]],
        batching: Batching,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        position: tuple[int, int] = (0, 0),
    ) -> None:
        self.dataset = dataset
        self.examples = examples
        self.batching = batching
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        # Workers ask for batches before Lightning tells the epoch.
        self.epoch = position[0]
        self.position = position
        self._steps = len(self._plan(0))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration, counted from 0; Lightning calls this before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches of a whole epoch on each rank."""
        return self._steps

    def __iter__(self) -> Iterator[PlannedBatch]:
        epoch, start = self.epoch, self.position[1] if self.epoch == self.position[0] else 0
        for batches in self._plan(epoch)[start:]:
            yield PlannedBatch(epoch, batches[self.rank])

    def _plan(self, epoch: int) -> list[list[tuple[Example, ...]]]:
        examples = self.examples(epoch)
        if not examples:
            return []
        steps = plan(
            *self.dataset.sizes(examples),
            self.batching,
            seed=self.seed,
            epoch=epoch,
            training=self.dataset.training,
            world_size=self.world_size,
        )
        return [[tuple(examples[i] for i in batch) for batch in batches] for batches in steps]
