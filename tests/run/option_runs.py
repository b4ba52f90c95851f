"""Runs on a tiny encoder by their options, and what of a run can be seen to differ from another."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import torch
from tiny import KEYWORDS, write_tiny_corpus

from redsm5.callbacks.early_stopping import EarlyStopping
from redsm5.callbacks.plateau import Plateau
from redsm5.datamodules.batching import BatchSize
from redsm5.datamodules.datamodule import ReDSM5DataModule
from redsm5.modules.collector import PredictionCollector
from redsm5.modules.encoder import Encoder
from redsm5.modules.module import MultiTaskModule
from redsm5.optim.plateau import WarmupPlateau
from redsm5.run.lightning_cli import LIGHTNING_PRECISION
from redsm5.run.trainer_options import TrainerOptions

TWINS = "I have been gloomy for many weeks now. I have been gloomy for some weeks now."


def write_corpus(folder: Path) -> Path:
    """The tiny corpus with conflicting judgements, and annotations that are no exact quotes; criteria of few words."""
    write_tiny_corpus(folder, posts=36, authors=18)
    with (folder / "redsm5_annotations.csv").open(encoding="utf-8") as file:
        quoted = [row for row in csv.DictReader(file) if row["status"] == "1"]
    with (folder / "redsm5_posts.csv").open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([f"s_{90 + i}_{90 + i}", TWINS] for i in range(6))
    with (folder / "redsm5_annotations.csv").open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for row in quoted[:8]:
            values = list(row.values())
            writer.writerow([*values[:4], 0, values[5]])
        for row in quoted[8:16]:
            altered = row["sentence_text"].replace("Honestly", "Honest").replace("weeks", "week").replace("up", "upp")
            writer.writerow([row["post_id"], row["sentence_id"], altered, "PSYCHOMOTOR", 1, "why"])
        for i in range(6):
            post = f"s_{90 + i}_{90 + i}"
            writer.writerow([post, f"{post}_0", "I have been gloomy for manyy weeks now.", "DEPRESSED_MOOD", 1, "why"])
    criteria = [{"code": code, "title": word, "text": f"The person is {word}."} for code, word in KEYWORDS.items()]
    (folder / "criteria.json").write_text(json.dumps(criteria))
    return folder


class Run:
    """A run, built without the command line.

    Args:
        options: By dotted key; what is not there has its default.
        datamodules: Those of runs before, by their options: reading and tokenising is shared.
    """

    def __init__(self, options: dict[str, Any], datamodules: dict[str, ReDSM5DataModule]) -> None:
        parts: dict[str, dict[str, Any]] = {"model": {}, "data": {}, "trainer": {}, "early_stopping": {}, "runtime": {}}
        for key, value in options.items():
            group, _, name = key.partition(".")
            parts[group][name] = value
        model = parts["model"]
        fields = {name.partition(".")[2]: model.pop(name) for name in [n for n in model if n.startswith("encoder.")]}
        self.encoder = Encoder(**fields)
        self.trainer_option = TrainerOptions(**{"max_epochs": 2, "accelerator": "cpu", **parts["trainer"]})
        self.stopping = EarlyStopping(**{"monitor": "val_loss", **parts["early_stopping"]})
        self.precision = parts["runtime"].get("precision", "none")
        data = {
            "encoder_id": self.encoder.id, "workers": 0, "max_length": 32, "stride": 8, "batching": BatchSize(4, 8),
            **parts["data"],
        }  # fmt: skip
        key = repr((sorted(data.items()), getattr(model.get("evidence_head"), "needs_sentences", False)))
        if key not in datamodules:
            datamodule = ReDSM5DataModule(**data)
            datamodule.setup()
            datamodules[key] = datamodule
        self.datamodule = datamodules[key]
        torch.manual_seed(0)
        self.module = MultiTaskModule(self.encoder, **model)
        self.fake = SimpleNamespace(
            datamodule=self.datamodule, precision_plugin=None, limit_train_batches=1.0, max_steps=-1, global_step=0,
            max_epochs=self.trainer_option.max_epochs, early_stopping_callback=None, global_rank=0, world_size=1,
            accumulate_grad_batches=self.trainer_option.accumulate_grad_batches,
        )  # fmt: skip
        self.datamodule.trainer = None
        self.module._trainer = self.fake  # what self.trainer returns
        self.module.configure_model()
        self.start = {name: value.clone() for name, value in self.module.state_dict().items()}

    @cached_property
    def batches(self) -> str:
        """All that the parts give: two epochs of training, then validation and test."""
        found = []
        for sampler in [
            *(self.datamodule._sampler("train", training=True, position=(epoch, 0)) for epoch in (0, 1)),
            *(self.datamodule._sampler(part, training=False) for part in ("val", "test")),
        ]:
            found += [dataclasses.astuple(sampler.dataset[index]) for index in sampler]
        return digest(found)

    @cached_property
    def parameters(self) -> str:
        """Names, shapes, and which train."""
        return digest([(n, tuple(p.shape), p.requires_grad) for n, p in self.module.named_parameters()])

    @cached_property
    def graph(self) -> str:
        """How a training step runs: its modules, what they keep for the backward pass, and the outputs."""
        module = self._fresh()
        kept: list[Any] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(tuple(t.shape)) or t, lambda t: t):
            output = module(self._batch())
        return digest([str(module.network), kept, output.criteria_logits, vars(output.evidence)])

    @cached_property
    def loss(self) -> str:
        """What is minimised, in three training batches."""
        module = self._fresh()
        found = []
        for index in range(3):
            torch.manual_seed(index)
            found.append(module.training_step(self._batch(index), index))
        return digest(found)

    @cached_property
    def groups(self) -> str:
        """The optimizer, and its groups with their settings."""
        optimizer, _ = self._optimizer(self._fresh())
        groups = [{**group, "params": len(group["params"])} for group in optimizer.param_groups]
        for group in groups:  # a schedule has set the rate of the first step
            group["lr"] = group.pop("initial_lr", group["lr"])
        return digest([type(optimizer).__name__, groups])

    @cached_property
    def update(self) -> str:
        """Weights after three steps at full rates."""
        module = self._fresh()
        optimizer, scheduler = self._optimizer(module)
        if scheduler is not None:
            for group, rate in zip(optimizer.param_groups, scheduler.base_lrs, strict=True):
                group["lr"] = rate
        for index in range(3):
            optimizer.zero_grad()
            module.training_step(self._batch(index), index).backward()
            optimizer.step()
        return digest(list(module.state_dict().values()))

    @cached_property
    def schedule(self) -> str:
        """Rates (and momenta) over forty-eight steps, four to an epoch; the first four epochs get better and better."""
        optimizer, scheduler = self._optimizer(self._fresh())
        rates = []
        for step in range(48):
            rates.append([(g["lr"], g.get("betas"), g.get("momentum")) for g in optimizer.param_groups])
            if scheduler is None:
                continue
            scheduler.step()
            if isinstance(scheduler, WarmupPlateau) and step % 4 == 3:
                scheduler.observe(0.5 * 1.001 ** min(step // 4, 3))
        return digest(rates)

    @cached_property
    def decoding(self) -> str:
        """The spans found in the validation part by weights as they are at the start."""
        module = self._fresh().eval()
        collector = PredictionCollector(self.datamodule.n_criteria, module.decoding)
        sampler = self.datamodule._sampler("val", training=False)
        with torch.no_grad():
            for index in sampler:
                batch = sampler.dataset[index]
                collector.add(batch, module(batch), module.network.evidence_head)
        return digest([dataclasses.astuple(post) for post in collector.result(self.datamodule.all_post_ids())])

    @cached_property
    def fit(self) -> str:
        """Weights after a training, and how many steps it took."""
        trainer = self.trained()
        return digest([trainer.global_step, trainer.current_epoch, list(self.module.state_dict().values())])

    def trained(self, *callbacks: pl.Callback, **settings: Any) -> pl.Trainer:
        """The Trainer after its training, from the weights at the start."""
        module = self._fresh()
        trainer = self.trainer_option.build(
            callbacks=[self.stopping.build(), Plateau(), *callbacks],
            precision=LIGHTNING_PRECISION[self.precision],
            **{"enable_checkpointing": False, "enable_progress_bar": False, **settings},
        )
        trainer.fit(module, datamodule=self.datamodule)
        return trainer

    def _fresh(self) -> MultiTaskModule:
        self.module._trainer = self.fake
        self.datamodule.trainer = None
        self.module.load_state_dict(self.start)
        self.module.zero_grad()
        torch.manual_seed(1)
        return self.module.train()

    def _batch(self, index: int = 0) -> Any:
        first = vars(self.datamodule).setdefault("_first_batches", [])
        if not first:
            sampler = self.datamodule._sampler("train", training=True)
            first += [sampler.dataset[planned] for planned in list(sampler)[:3]]
        return first[index]

    def _optimizer(self, module: MultiTaskModule) -> tuple[torch.optim.Optimizer, Any]:
        built = module.configure_optimizers()
        if isinstance(built, torch.optim.Optimizer):
            return built, None
        return built["optimizer"], built["lr_scheduler"]["scheduler"]


def digest(value: Any) -> str:
    """A hash of nested containers of tensors and plain values."""
    sha = hashlib.sha256()

    def feed(node: Any) -> None:
        if isinstance(node, torch.Tensor):
            sha.update(str(tuple(node.shape)).encode() + node.detach().float().contiguous().numpy().tobytes())
        elif isinstance(node, dict):
            feed(list(node.items()))
        elif isinstance(node, (list, tuple)):
            sha.update(b"[")
            for part in node:
                feed(part)
            sha.update(b"]")
        else:
            sha.update(repr(node).encode())

    feed(value)
    return sha.hexdigest()
