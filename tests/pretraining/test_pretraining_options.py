import dataclasses

import pytest

from redsm5.pretraining.options import Pretraining

ON = {"use_tapt": True}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"use_dapt": True, "texts": "x", "dapt_epochs": 4}, "dapt_epochs is 4; it must be between 0 and 3"),
        ({**ON, "tapt_epochs": 3}, "tapt_epochs is 3; it must be between 0 and 2"),
        ({**ON, "tapt_mlm_prob": 0.0}, "tapt_mlm_prob is 0.0; it must be above 0"),
        ({**ON, "tapt_mlm_prob": 0.6}, "tapt_mlm_prob is 0.6; it must be above 0, at most 0.5"),
        ({**ON, "max_length": 8}, "max_length is 8; it must be at least 16"),
        ({**ON, "batch_tokens": 100}, "batch_tokens is 100, less than one row"),
        ({**ON, "accumulate": 0}, "accumulate is 0; it must be at least 1"),
        ({**ON, "lr": -1.0}, "lr is -1.0; it must be a finite number"),
        ({**ON, "warmup": 1.5}, "warmup is 1.5; it must be between 0 and 1"),
        ({**ON, "held_out": 0.0}, "held_out is 0.0; it must be above 0 and below 1"),
        ({**ON, "hidden_dropout": 1.0}, "hidden_dropout is 1.0; it must be at least 0 and below 1"),
        ({**ON, "lora_r": 0}, "lora_r is 0; it must be at least 1"),
        ({"cache_gb": 0.0}, "cache_gb is 0.0; it must be a finite number above 0"),
        ({"use_dapt": True}, "texts is null, and use_dapt is true"),
        ({"dapt_epochs": 2}, "dapt_epochs is 2, and use_dapt is false, so that nothing reads it"),
        ({**ON, "texts": "x"}, "texts is x, and use_dapt is false"),
        ({"use_dapt": True, "texts": "x", "tapt_mlm_prob": 0.3}, "tapt_mlm_prob is 0.3, and use_tapt is false"),
        ({"masking_style": "span"}, "masking_style is span, and use_dapt and use_tapt are false"),
        ({**ON, "lora_lr": 1e-2}, "lora_lr is 0.01, and lora_r is null"),
    ],
)
def test_impossible_and_unread_values_are_refused(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        Pretraining(**values)


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ({}, ()),
        (ON, ("tapt",)),
        ({"use_dapt": True, "texts": "x"}, ("dapt",)),
        ({"use_dapt": True, "texts": "x", "use_tapt": True}, ("dapt", "tapt")),
        ({"use_dapt": True, "texts": "x", "dapt_epochs": 0, "use_tapt": True}, ("tapt",)),
        ({**ON, "tapt_epochs": 0}, ()),
    ],
)
def test_stages_of_a_section(values, kinds):
    assert Pretraining(**values).kinds == kinds


def test_section_is_flat_so_that_a_fit_can_set_it_back():
    for field in dataclasses.fields(Pretraining):
        assert isinstance(field.default, bool | int | float | str | None), field.name
