"""Adversarial training on several processes."""

import os
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from encoder_samples import tiny_config
from torch import nn
from transformers import BertModel

from redsm5.modules.adversarial import PGD
from redsm5.modules.encoder_build import wrap


class Total:
    def __init__(self, total):
        self.total = total


class Step(nn.Module):
    """A training step inside ``forward``, as Lightning has it under DDP."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = wrap(BertModel(tiny_config("bert"), add_pooling_layer=False)).eval()
        self.attack = PGD(epsilon=0.05, steps=2).build()

    def forward(self, ids):
        mask = torch.ones_like(ids)
        plain, attacked = self.attack(
            self.encoder.embeddings, lambda: Total(self.encoder(ids, mask).tanh().square().mean()), lambda loss: loss
        )
        return plain.total + attacked


def ids_of(rank):
    return torch.randint(5, 50, (3, 9), generator=torch.Generator().manual_seed(rank))


def gradients(module):
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def work(rank, port, folder):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=2)
    try:
        step = nn.parallel.DistributedDataParallel(Step())
        for _ in range(2):  # a second pass fails where the first one left gradients unreduced
            step.zero_grad()
            step(ids_of(rank)).backward()
        torch.save(gradients(step.module), f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
def test_gradients_of_two_processes_are_the_mean_of_their_own(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(work, args=(port, str(tmp_path)), nprocs=2)
    alone = []
    for rank in range(2):
        step = Step()
        step(ids_of(rank)).backward()
        alone.append(gradients(step))
    for rank in range(2):
        together = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert together.keys() == alone[0].keys()
        for name, gradient in together.items():
            torch.testing.assert_close(gradient, (alone[0][name] + alone[1][name]) / 2, rtol=1e-4, atol=1e-7)
