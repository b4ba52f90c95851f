from itertools import product

import pytest
import torch
from encoder_samples import tiny_config
from transformers import AutoModel

from redsm5.cli import build_cli, main
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
        ["--model.optimizer=SGDMomentum", *CYCLED],
        ["--model.optimizer=LAMB", *CYCLED],
        ["--model.optimizer.layer_decay=0.9"],
        ["--model.optimizer.layer_decay=0.9", "--model.freezing=BottomLayers"],
        ["--model.optimizer.layer_decay=0.9", "--model.peft=LoRA", "--model.peft.bias=all"],
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
