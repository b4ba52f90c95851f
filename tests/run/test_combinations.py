import json
import re
from itertools import product
from pathlib import Path

import pytest
import torch
from encoder_samples import tiny_config
from transformers import AutoModel

from redsm5.cli import build_cli, main
from redsm5.errors import UserError
from redsm5.modules.encoder import Encoder
from redsm5.modules.encoder_build import wrap
from redsm5.optim.groups import parameter_groups
from redsm5.optim.optimizer import Optimizer
from redsm5.optim.optimizers import AdamW
from redsm5.optim.schedule import Schedule
from redsm5.optim.schedules import Linear
from redsm5.peft.attach import attach
from redsm5.peft.freezing import NoFreezing, WholeEncoder
from redsm5.peft.methods import IA3, AdaLoRA, Houlsby, LoRA, NoPEFT
from redsm5.run.combinations import CONFLICTS

BASE = ["--model.encoder.id=no/such-encoder", "--data.path=no/such/corpus"]
RELATIVE = ["--model.optimizer=Adafactor", "--model.optimizer.relative_step=true"]
CYCLED = ["--model.schedule=OneCycle", "--model.schedule.cycle_momentum=true"]

REFUSED = [
    *(
        (
            [*RELATIVE, f"--model.schedule={kind.__name__}"],
            ["Adafactor with relative_step", f"model.schedule is {kind.__name__}", "its own rate", "NoSchedule"],
        )
        for kind in Schedule.__subclasses__()
        if kind.__name__ not in ("NoSchedule", "Constant")
    ),
    *(
        ([f"--model.optimizer={name}", *CYCLED], [f"model.optimizer is {name}", "OneCycle", "no momentum"])
        for name in ("SGD", "Adafactor")
    ),
    (
        ["--model.optimizer=SGDMomentum", "--model.optimizer.momentum=0", *CYCLED],
        ["model.optimizer is SGDMomentum", "OneCycle", "no momentum"],
    ),
    (
        ["--model.optimizer.layer_decay=0.9", "--model.peft=LoRA"],
        ["layer_decay is not 1", "model.peft is LoRA", "freezes", "at 1"],
    ),
    (
        ["--model.optimizer=LAMB", "--model.optimizer.layer_decay=0.9", "--model.freezing=WholeEncoder"],
        ["layer_decay is not 1", "model.freezing is WholeEncoder", "at 1"],
    ),
    (["--model.optimizer.peft_lr=0.1"], ["peft_lr is set", "model.peft is NoPEFT", "leave peft_lr out"]),
    (
        ["--data.split_file=split.csv", "--data.fractions=[0.8, 0.1, 0.1]"],
        ["data.fractions is set", "data.split_file is split.csv", "the file says", "leave data.fractions out"],
    ),
    (
        ["--data.split_file=split.csv", "--data.split_seed=1"],
        ["data.split_seed is set", "data.split_file is split.csv"],
    ),
    (["--data.split_file=split.csv", "--data.group_by=post"], ["data.group_by is set", "data.split_file is split.csv"]),
    (
        ["--data.folds=5", "--data.fold=0", "--data.fractions=[0.8, 0.1, 0.1]"],
        ["data.fractions is set", "data.folds is 5", "the number of folds says"],
    ),
]


@pytest.mark.parametrize(("args", "said"), REFUSED, ids=lambda v: " ".join(v))
def test_impossible_combination_is_one_sentence_before_anything_is_loaded(args, said, capsys, tmp_path):
    assert main(["fit", *BASE, *args, f"--run_dir={tmp_path / 'run'}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("redsm5: error: ")
    assert err.count("\n") == 1, err
    assert all(words in err for words in said), err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "args",
    [
        [*RELATIVE, "--model.schedule=NoSchedule"],
        [*RELATIVE, "--model.schedule=Constant"],
        ["--model.optimizer=SGD", "--model.schedule=OneCycle"],
        ["--data.split_file=split.csv", "--data.fractions=[0.7, 0.15, 0.15]"],
        ["--data.folds=5", "--data.fold=0", "--data.split_seed=3", "--data.group_by=post"],
        ["--model.optimizer.layer_decay=0.9", "--model.peft=LoRA", "--model.peft.bias=all"],
        ["--model.optimizer=SGDMomentum", *CYCLED],
        ["--model.optimizer=LAMB", *CYCLED],
        ["--model.optimizer.layer_decay=0.9"],
        ["--model.optimizer.layer_decay=0.9", "--model.freezing=BottomLayers"],
        ["--model.optimizer.layer_decay=0.9", "--model.freezing=WholeEncoder", "--model.freezing.train_norms=true"],
        [
            *("--model.optimizer.layer_decay=0.9", "--model.peft=LoRA", "--model.optimizer.peft_lr=0.1"),
            *("--model.freezing=WholeEncoder", "--model.freezing.train_norms=true"),
        ],
    ],
    ids=" ".join,
)
def test_possible_neighbours_are_accepted(args):
    cli = build_cli([*BASE, *args], parse_only=True)
    cli.before_instantiate_classes()


def test_family_without_gradient_checkpointing_is_refused_before_anything_is_read(tmp_path, capsys):
    """A folder with config.json alone: there are no weights to load, and no corpus."""
    config = {"model_type": "mpnet", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes = {"intermediate_size": 64, "vocab_size": 50, "max_position_embeddings": 66, "pad_token_id": 1}
    (tmp_path / "config.json").write_text(json.dumps(config | sizes))
    args = [f"--model.encoder.id={tmp_path}", "--model.encoder.gradient_checkpointing=true", BASE[1]]
    assert main(["fit", *args, f"--run_dir={tmp_path / 'run'}"]) == 2
    err = capsys.readouterr().err
    assert all(words in err for words in ("gradient_checkpointing is true", "mpnet", "set it to false")), err
    encoder = Encoder(str(tmp_path), gradient_checkpointing=True, random_weights=True)
    with pytest.raises(UserError, match="transformers has none for mpnet"):
        encoder.build()


def test_plain_pairs_of_optimizer_and_schedule_build():
    """At their defaults all go together: built for real, with a step each."""
    for optimizer, schedule in product(Optimizer.__subclasses__(), Schedule.__subclasses__()):
        parameter = torch.nn.Parameter(torch.ones(2, 2))
        group = {"name": "head", "params": [parameter], "lr": 0.1, "weight_decay": 0.1}
        built = optimizer().build([group])
        scheduler = schedule().build(built, 10, 2, mode="max")
        for _ in range(3):
            parameter.grad = torch.ones(2, 2)
            built.step()
            if scheduler is not None:
                scheduler.step()
        assert parameter.isfinite().all()
        assert not torch.equal(parameter, torch.ones(2, 2)), (optimizer, schedule)


@pytest.mark.parametrize("freezing", [NoFreezing(), WholeEncoder(), WholeEncoder(train_norms=True)], ids=str)
@pytest.mark.parametrize(
    "peft",
    [NoPEFT(), LoRA(), LoRA(bias="lora_only"), LoRA(bias="all"), AdaLoRA(bias="all"), IA3(), Houlsby(bottleneck=8)],
    ids=str,
)
def test_layer_decay_is_refused_where_it_changes_no_rate(peft, freezing):
    """Against the groups of a real encoder."""
    network = torch.nn.Module()
    network.encoder = wrap(AutoModel.from_config(tiny_config("bert")))
    attach(network.encoder, peft, freezing, id="tiny")
    network.head = torch.nn.Linear(2, 2)
    rates = [[g["lr"] for g in parameter_groups(network, AdamW(layer_decay=d))] for d in (1.0, 0.5)]
    options = {
        "model.optimizer": AdamW(layer_decay=0.5),
        "model.schedule": Linear(),
        "model.peft": peft,
        "model.freezing": freezing,
    }
    by_decay = [conflict for conflict in CONFLICTS if "layer_decay" in conflict.first]
    assert any(conflict.applies(options) for conflict in by_decay) == (rates[0] == rates[1])


def test_documentation_shows_the_table():
    text = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text(encoding="utf-8")
    for conflict in CONFLICTS:
        parts = (re.sub(r"\{[^}]*\}", "...", part) for part in (conflict.first, conflict.second, conflict.reason))
        assert f"| {' | '.join(parts)} |" in text, conflict.first
