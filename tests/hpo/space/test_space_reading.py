"""A space from its file: what it holds, and a sentence for all that can be wrong in it."""

from __future__ import annotations

import json

import pytest

from redsm5.errors import UserError
from redsm5.hpo.space.forms import available, from_json, to_json
from redsm5.hpo.space.read import read_space
from redsm5.hpo.space.space import Choices, Fixed, Float, Int

GOOD = """
version: 1
lists:
  lows: &lows [LoRA, LoRAPlus]
groups:
  peft:
    lora_r: {path: model.peft.r, choices: [4, 8], when: {model.peft: *lows}, help: The rank.}
    peft: {path: model.peft, choices: [NoPEFT, LoRA, LoRAPlus]}
  training:
    optimizer: {path: model.optimizer, choices: [AdamW, SGD]}
    lr: {path: model.optimizer.lr, low: 1e-6, high: 5e-5, log: true, scale: {optimizer: {SGD: 100}}}
    betas: {path: model.optimizer.betas, choices: [[0.9, 0.999], [0.9, 0.98]], when: {optimizer: AdamW}}
    flat: {path: model.schedule, value: NoSchedule, unless: {optimizer: [AdamW]}}
    epochs: {path: trainer.max_epochs, low: 2, high: 10, step: 2}
    precision: {path: runtime.precision, choices: [none, {value: fp16, requires: cuda}]}
"""


@pytest.fixture
def read(tmp_path):
    """A space from text."""

    def read_text(text, name="space.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return read_space(path)

    return read_text


def test_a_space_is_read_parents_first(read):
    space = read(GOOD)
    names = [parameter.name for parameter in space.parameters]
    assert names == ["peft", "lora_r", "optimizer", "lr", "betas", "flat", "epochs", "precision"]
    found = space.by_name
    assert found["lora_r"].when == {"model.peft": ("LoRA", "LoRAPlus")}
    assert found["lora_r"].distribution == Choices((4, 8))
    assert found["lora_r"].help == "The rank."
    assert found["lora_r"].group == "peft"
    assert found["lr"].distribution == Float(1e-6, 5e-5, log=True)
    assert found["lr"].scale == {"optimizer": {"SGD": 100.0}}
    assert found["betas"].distribution.drawn == ("[0.9, 0.999]", "[0.9, 0.98]")
    assert found["flat"].distribution == Fixed("NoSchedule")
    assert found["epochs"].distribution == Int(2, 10, step=2)
    assert found["precision"].choices_require == {1: "cuda"}


BAD = {
    "[1, 2]": "holds no keys",
    "a: [": "is not YAML at line 1",
    "version: 1": "there is no groups",
    "version: 2\ngroups: {}": "version is 2; this redsm5 reads version 1",
    "groups: {a: {x: {path: p}}}": "a.x has no distribution",
    "groups: {a: {x: {path: p, choices: [1], low: 2}}}": "a.x has choices and low",
    "groups: {a: {x: {path: p, choices: 3}}}": "a.x.choices is 3; give a list",
    "groups: {a: {x: {path: p, choices: [1, 1]}}}": "a.x.choices has 1 twice",
    "groups: {a: {x: {path: p, choices: [{value: 1, requires: tpu}]}}}": "takes cuda or texts",
    "groups: {a: {x: {path: p, choices: [1], hihg: 3}}}": "there is no key a.x.hihg; did you mean high?",
    "groups: {a: {x: {path: p, choices: [1], high: 3}}}": "a.x.high goes with low",
    "groups: {a: {x: {path: p, low: 1}}}": "a.x.high is null; give a number",
    "groups: {a: {x: {path: p, low: one, high: 2}}}": "a.x.low is 'one'; give a number",
    "groups: {a: {x: {path: p, low: 3, high: 2}}}": "low must be below high",
    "groups: {a: {x: {path: p, low: 0, high: 2, log: true}}}": "low must be above 0",
    "groups: {a: {x: {path: p, low: 0, high: 2, step: -1}}}": "a.x.step is -1",
    "groups: {a: {x: {path: p, low: 0.5, high: 2, type: int}}}": "must be whole numbers",
    "groups: {a: {x: {value: 2}}}": "a fixed value without a path",
    "groups: {a: {X: {path: p, choices: [1]}}}": "the name X in a",
    "groups: {a: {x: {path: p, choices: [1], when: {y: [2]}}}}": "x depends on y, which is not searched",
    "groups: {a: {y: {path: q, choices: [1]}, x: {path: p, choices: [1], when: {y: [2]}}}}": "x depends on y being 2",
    "groups: {a: {y: {path: q, choices: [1], when: {x: 1}}, x: {path: p, choices: [1], when: {y: 1}}}}": "in a circle",
    "groups: {a: {x: {path: p, choices: [1], scale: {x: {1: 2}}}}}": "a.x.scale goes with a range of floats",
    "groups: {a: {x: {path: p, choices: [1]}}, b: {x: {path: q, choices: [1]}}}": "x is in a and in b",
    "extends: other.yaml": "there is no search space",
    "extends: space.yaml": "extends goes round in a circle",
    "only: [x]\ngroups: {}": "only is set without extends",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_wrong_is_one_sentence_with_file_and_key(read, text):
    with pytest.raises(UserError) as error:
        read(text)
    message = str(error.value)
    assert BAD[text] in message
    assert ".yaml" in message
    assert "\n" not in message


def test_a_space_lies_over_another_one(read):
    read(GOOD, "below.yaml")
    space = read(
        """
extends: below.yaml
only: [optimizer, lr, betas, epochs]
groups:
  training:
    lr: {low: 1.0e-4, high: 1.0e-2, scale: null}
    epochs: {choices: [3, 5]}
    betas: null
  data:
    max_length: {path: data.max_length, choices: [64, 128]}
"""
    )
    assert [parameter.name for parameter in space.parameters] == ["optimizer", "lr", "epochs", "max_length"]
    assert space.by_name["lr"].distribution == Float(1e-4, 1e-2, log=True)
    assert space.by_name["lr"].scale is None
    assert space.by_name["lr"].path == "model.optimizer.lr"
    assert space.by_name["epochs"].distribution == Choices((3, 5))


def test_only_takes_lists_that_an_anchor_names(read):
    read(GOOD, "below.yaml")
    space = read("lists: {shared: &shared [optimizer, betas]}\nextends: below.yaml\nonly: [*shared, lr]")
    assert [parameter.name for parameter in space.parameters] == ["optimizer", "lr", "betas"]
    for only in ("[[optimizer, 3]]", "optimizer", "[{lr: 1}]"):
        with pytest.raises(UserError, match=r"only is .*; give a list of names"):
            read(f"extends: below.yaml\nonly: {only}")


def test_a_name_that_is_not_below_is_refused(read):
    read(GOOD, "below.yaml")
    with pytest.raises(UserError, match=r"only names optimiser, which .* does not have; did you mean optimizer"):
        read("extends: below.yaml\nonly: [optimiser]")


def test_json_gives_the_same_space(read):
    space = read(GOOD)
    assert from_json(json.loads(json.dumps(to_json(space)))) == space


def test_what_a_machine_lacks_goes_with_what_depends_on_it(read):
    space = read(
        GOOD
        + """
    scaler: {path: a.b, choices: [1, 2], when: {precision: [fp16]}}
    dapt: {path: pretraining.use_dapt, choices: [true, false], requires: texts}
    dapt_epochs: {path: pretraining.dapt_epochs, low: 1, high: 3, when: {dapt: true}}
    alone: {path: a.c, choices: [1, 2], unless: {dapt: true}}
"""
    )
    found, lines = available(space, set())
    names = {parameter.name for parameter in found.parameters}
    assert names == {"peft", "lora_r", "optimizer", "lr", "betas", "flat", "epochs", "precision", "alone"}
    assert found.by_name["precision"].distribution == Choices(("none",))
    assert found.by_name["alone"].unless == {}
    assert lines == [
        "precision is drawn without fp16: this machine has no CUDA device",
        "dapt is left out: the base config has no pretraining.texts",
        "scaler is left out with it",
        "dapt_epochs is left out with it",
    ]
    assert available(space, {"cuda", "texts"}) == (space, [])
