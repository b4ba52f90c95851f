import dataclasses
import shutil

import pytest
from tiny import write_tiny_encoder

from redsm5.modules.encoder import Encoder
from redsm5.pretraining.options import Pretraining
from redsm5.pretraining.recipe import Recipe, base_identity, stage_identity, tokenizer_identity

ON = {"use_dapt": True, "use_tapt": True, "texts": "x"}
OTHER = {
    "dapt_mlm_prob": 0.3, "masking_style": "span", "max_length": 128, "packing": "buckets", "batch_tokens": 2048,
    "accumulate": 2, "lr": 1e-3, "head_lr": 1e-2, "weight_decay": 0.1, "warmup": 0.5, "hidden_dropout": 0.2,
    "attention_dropout": 0.2, "lora_r": 4, "held_out": 0.2,
}  # fmt: skip
"""Another value of every option that decides the weights of DAPT."""
NO_KEY = {
    "use_dapt": "which stages", "use_tapt": "which stages", "texts": "in it as a hash", "text_column": "in that hash",
    "texts_revision": "in that hash", "dapt_epochs": "snapshots of one run", "tapt_epochs": "likewise",
    "tapt_mlm_prob": "of the other stage", "cache_gb": "what stays on the disk", "lora_lr": "with lora_r",
}  # fmt: skip


def recipe(kind="dapt", *, base="b", tokenizer="t", texts="h", seed=0, precision="none", **values):
    return Recipe.of(
        Pretraining(**{**ON, **values}), kind, base=base, tokenizer=tokenizer, texts=texts, seed=seed,
        precision=precision, random_weights=False,
    )  # fmt: skip


def test_every_option_is_in_the_key_or_says_why_not():
    assert OTHER.keys() | NO_KEY.keys() == {field.name for field in dataclasses.fields(Pretraining)}
    assert not OTHER.keys() & NO_KEY.keys()


@pytest.mark.parametrize("name", OTHER)
def test_option_changes_the_key(name):
    assert recipe(**{name: OTHER[name]}).key != recipe().key


@pytest.mark.parametrize(
    "change", [{"base": "c"}, {"tokenizer": "u"}, {"texts": "i"}, {"seed": 1}, {"precision": "bf16"}, {"kind": "tapt"}]
)
def test_what_else_decides_the_weights_changes_the_key(change):
    assert recipe(**change).key != recipe().key


def test_rate_of_lora_changes_the_key():
    assert recipe(lora_r=4, lora_lr=1e-2).key != recipe(lora_r=4).key


@pytest.mark.parametrize("change", [{"dapt_epochs": 3}, {"tapt_epochs": 2}, {"tapt_mlm_prob": 0.3}, {"cache_gb": 1.0}])
def test_epochs_limits_and_the_other_stage_do_not_change_the_key(change):
    assert recipe(**change).key == recipe().key


def test_probability_is_that_of_the_stage():
    assert recipe(dapt_mlm_prob=0.3).probability == 0.3
    assert recipe("tapt", dapt_mlm_prob=0.3).probability == 0.15


def test_folder_is_known_by_its_weights_and_not_by_its_place(tmp_path):
    first = write_tiny_encoder(tmp_path / "a")
    shutil.copytree(first, tmp_path / "b")
    other = write_tiny_encoder(tmp_path / "c", hidden=64)
    ids = [base_identity(Encoder(str(folder))) for folder in (first, tmp_path / "b", other)]
    assert ids[0] == ids[1] != ids[2]
    assert tokenizer_identity(str(first), None) == tokenizer_identity(str(tmp_path / "b"), None)
    (tmp_path / "b" / "tokenizer_config.json").write_text("{}")
    assert tokenizer_identity(str(first), None) != tokenizer_identity(str(tmp_path / "b"), None)


def test_bundled_encoder_is_known_by_its_hash():
    id = "sentence-transformers/all-MiniLM-L6-v2"
    assert base_identity(Encoder(id)).startswith(f"{id}@sha256:53aa5117")


def test_random_weights_are_another_base(tmp_path):
    folder = str(write_tiny_encoder(tmp_path / "a"))
    assert base_identity(Encoder(folder, random_weights=True)) != base_identity(Encoder(folder))
    assert stage_identity("k", 1) != stage_identity("k", 2)
