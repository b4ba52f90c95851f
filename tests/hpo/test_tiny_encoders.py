"""Tiny encoders: made of the training posts, the same every time, and made once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM

from redsm5.cli import build_cli
from redsm5.datamodules.criteria import load_criteria
from redsm5.datamodules.tokenizer import load_tokenizer
from redsm5.errors import UserError
from redsm5.families import FAMILIES
from redsm5.hpo.space.draw import Chance, draw, settings
from redsm5.hpo.space.read import read_space
from redsm5.hpo.tiny_encoders import KINDS, SIZE, prepare, tiny_encoder
from redsm5.modules.encoder import Encoder
from redsm5.pretraining.chain import training_posts

CPU = Path(__file__).parents[2] / "configs" / "hpo" / "cpu.yaml"


@pytest.fixture(scope="module")
def args(tiny_corpus_dir):
    return [f"--data.path={tiny_corpus_dir}", "--model.encoder.id=none", "--runtime.threads=1"]


@pytest.fixture(scope="module")
def posts(args):
    return training_posts(build_cli(args, parse_only=True).config)


def make(family, posts, cache):
    return tiny_encoder(family, posts, load_criteria(None), str(cache), SIZE)


def test_an_encoder_is_made_once_and_is_the_same_every_time(posts, tmp_path):
    first, new = make("bert", posts, tmp_path / "a")
    assert new
    assert make("bert", posts, tmp_path / "a") == (first, False)
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    again, _ = make("bert", posts, tmp_path / "b")
    assert again.name == first.name
    a, b = (load_file(folder / "model.safetensors") for folder in (first, again))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    # Other posts, another encoder.
    assert make("bert", posts[:-5], tmp_path / "a")[0] != first


def test_encoder_knows_the_characters_of_the_posts_and_has_a_head_for_stages(posts, tmp_path):
    folder, _ = make("roberta", posts, tmp_path)
    encoder, tokenizer = Encoder(str(folder)).build(), load_tokenizer(str(folder))
    assert tokenizer.pad_token_id == encoder.config.pad_token_id
    known = set("".join(post.text for post in posts))
    assert tokenizer.unk_token_id not in tokenizer("".join(sorted(known)))["input_ids"]
    _, loaded = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not loaded["missing_keys"]


def test_families_of_one_architecture_have_other_weights(posts, tmp_path):
    bert, electra = (
        load_file(make(family, posts, tmp_path)[0] / "model.safetensors") for family in ("bert", "electra")
    )
    name = "embeddings.word_embeddings.weight"
    assert bert[f"bert.{name}"].shape == electra[f"electra.{name}"].shape
    assert not torch.equal(bert[f"bert.{name}"], electra[f"electra.{name}"])


def test_families_are_those_of_the_catalog():
    from redsm5.catalog import CATALOG

    assert KINDS.keys() == {known.family for known in CATALOG.values()}
    assert KINDS.keys() <= FAMILIES.keys()
    kinds = {(known.family, known.tokenizer) for known in CATALOG.values()}
    assert kinds == set(KINDS.items())


def test_a_space_learns_where_its_encoders_are(args, tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(f"extends: {CPU}\ngroups: {{model: {{encoder: {{choices: ['tiny:electra', 'tiny:distilbert']}}}}}}")
    cached, said = [*args, f"--data.cache_dir={tmp_path / 'cache'}"], []
    space = read_space(path)
    found = prepare(space, cached, said.append)
    assert found == space
    assert len(said) == 1
    assert "made 2 tiny encoders (electra, distilbert)" in said[0]
    for seed in range(5):
        drawn = draw(found, Chance(seed))
        folder = Path(str(settings(found, drawn)["model.encoder.id"]))
        family = str(drawn["encoder"]).removeprefix("tiny:")
        assert json.loads((folder / "config.json").read_text())["model_type"] == family
    assert prepare(space, cached, said.append).aliases == found.aliases
    assert len(said) == 1


def test_a_space_without_such_encoders_stays_as_it_is(args):
    space = read_space(CPU.with_name("quick.yaml"))
    assert prepare(space, args, print) is space


def test_an_unknown_family_is_refused(args, tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(f"extends: {CPU}\ngroups: {{model: {{encoder: {{choices: ['tiny:gpt']}}}}}}")
    with pytest.raises(UserError, match=r"there is no encoder tiny:gpt; there are tiny:bert"):
        prepare(read_space(path), args, print)


def test_a_corpus_that_cannot_be_read_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"absent"):
        prepare(read_space(CPU), [f"--data.path={tmp_path / 'absent'}", "--model.encoder.id=none"], print)


@pytest.mark.parametrize("family", KINDS)
def test_every_family_is_made_and_reads_its_longest_window(family, posts, tmp_path):
    folder, _ = make(family, posts, tmp_path)
    encoder = Encoder(str(folder)).build()
    ids = torch.randint(10, 20, (2, SIZE.context))
    with torch.no_grad():
        states = encoder(ids, torch.ones_like(ids), torch.zeros_like(ids))
    assert states.shape == (2, SIZE.context, SIZE.hidden)
