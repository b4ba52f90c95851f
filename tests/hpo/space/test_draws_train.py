"""Every draw of the shipped space is a config that parses, builds on a stand-in of its family, and trains two steps."""

from __future__ import annotations

import math
import re
import warnings
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import lightning.pytorch as pl
import pytest
import torch
from encoder_samples import SMALL_BLOCKS
from tiny import write_tiny_corpus
from tiny_tokenizers import bert_like
from transformers import AutoModel

from redsm5.callbacks.plateau import Plateau
from redsm5.catalog import CATALOG
from redsm5.cli import build_cli
from redsm5.commands import pretrain
from redsm5.datamodules.criteria import load_criteria
from redsm5.hpo.space.bounds import Bounds
from redsm5.hpo.space.draw import Chance, draw
from redsm5.hpo.space.forms import available
from redsm5.hpo.space.read import read_space
from redsm5.hpo.space.resolve import trial_args
from redsm5.modules.encoder_weights import config_of_facts
from redsm5.pretraining.options import MaskingStyle
from redsm5.pretraining.resolve import with_pretrained_encoder

SPACE = Path(__file__).parents[3] / "configs" / "hpo" / "space.yaml"
DRAWS = 1000
QUICK = (0, 3, 5, 6, 8, 9, 11, 15, 18)
"""Of them in the quick suite: the first that take few seconds each."""
HIDDEN = 192
"""Width of the stand-ins: that of the widest adapter."""
STEPS = 2


class Losses(pl.Callback):
    """Notes the loss of every batch."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.seen.append(float(outputs["loss"]))


def write_stand_in(family: str, layers: int, context: int, folder: Path) -> Path:
    """An encoder of the family with as many layers as choices of the space ask for, and random weights."""
    known = next(facts for facts in CATALOG.values() if facts.family == family)
    # Titles in single characters would take half a window; those of a real tokenizer take a sixth.
    asked = " ".join(f"{criterion.title} {criterion.text}" for criterion in load_criteria(None))
    tokenizer = bert_like(*re.findall(r"[a-z]+", asked.lower()))
    sizes = {"layers": layers, "hidden": HIDDEN, "heads": 4, "ffn": 64, "vocabulary": len(tokenizer)}
    config = config_of_facts(replace(known, context=context, **sizes))
    for name, value in SMALL_BLOCKS.get(family, {}).items():
        setattr(config, name, value)
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """The full space, whose encoders are stand-ins: six layers where the encoder has six, else seven."""
    root, stand_ins = tmp_path_factory.mktemp("stand-ins"), {}
    for known in CATALOG.values():
        if known.family not in stand_ins:
            layers, context = min(known.layers, 7), min(known.context, 1024)
            stand_ins[known.family] = write_stand_in(known.family, layers, context, root / known.family)
    aliases = {id: str(stand_ins[known.family]) for id, known in CATALOG.items()}
    return replace(available(read_space(SPACE), set())[0], aliases=aliases)


@pytest.fixture(scope="module")
def args(tmp_path_factory):
    corpus = write_tiny_corpus(tmp_path_factory.mktemp("draws") / "corpus", posts=10, authors=10, sentences=2)
    return [
        f"--config={SPACE.parents[1] / 'fit.yaml'}",
        f"--data.path={corpus}",
        "--data.workers=0",
        "--trainer.accelerator=cpu",
        "--trainer.max_epochs=2",  # a large batch of few posts makes one step in each
        f"--runtime.threads={torch.get_num_threads()}",
    ]


def train_two_steps(space, args, seed, cache, resolve=lambda options: options):
    drawn = draw(space, Chance(seed))
    bounds = Bounds(cache / "calibration.json", name="CPU", memory_gb=1000.0, tell=lambda _: None)
    options, _ = trial_args(space, drawn, args, bounds, training_posts=16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, about short trainings
        pl.seed_everything(0, verbose=False)
        cli = build_cli(resolve([*options, f"--run_dir={cache / 'run'}"]))
        noted = Losses()
        trainer = cli.make_trainer(
            Plateau(),
            noted,
            max_steps=STEPS,
            limit_val_batches=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
        )
        trainer.fit(cli.model, datamodule=cli.datamodule)
    assert noted.seen, drawn
    assert all(map(math.isfinite, noted.seen)), (drawn, noted.seen)
    assert trainer.global_step == STEPS, drawn
    assert all(value.isfinite().all() for value in cli.model.state_dict().values() if value.is_floating_point()), drawn


@pytest.mark.parametrize("seed", QUICK)
def test_draws_train(seed, space, args, tmp_path):
    train_two_steps(space, args, seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [seed for seed in range(DRAWS) if seed not in QUICK])
def test_a_thousand_draws_train(seed, space, args, tmp_path):
    train_two_steps(space, args, seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("style", get_args(MaskingStyle))
def test_draw_trains_on_the_stage_of_pretraining_that_it_asks_for(style, space, args, tmp_path):
    asked = {"pretraining": "tapt", "masking_style": style}
    seed = next(seed for seed in range(DRAWS) if asked.items() <= draw(space, Chance(seed)).items())
    made = []

    def make(options):
        made.append(options)
        return pretrain.run(Namespace(out=None, config=options))

    def resolve(options):
        resolved = with_pretrained_encoder([*options, f"--data.cache_dir={tmp_path / 'cache'}"], make)
        assert resolved[-3].startswith(f"--model.encoder.id={tmp_path / 'cache'}")
        return resolved

    train_two_steps(space, args, seed, tmp_path, resolve)
    assert len(made) == 1
