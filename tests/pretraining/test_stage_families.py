"""A stage of every family of the catalog, with a tokenizer in the files of its releases."""

import dataclasses
from pathlib import Path

import pytest
import torch
from encoder_samples import FAMILIES, SMALL_BLOCKS, tiny_facts
from pretrain_runs import pretrain_options
from tiny import tiny_posts
from transformers import AutoModel

from redsm5.catalog import CATALOG
from redsm5.cli import main
from redsm5.datamodules.tokenizer import load_tokenizer
from redsm5.encoder_check.snapshot import write_tokenizer
from redsm5.modules.encoder import Encoder
from redsm5.modules.encoder_weights import config_of_facts
from redsm5.pretraining.packing import PACKABLE
from redsm5.pretraining.record import read_record
from redsm5.pretraining.texts import Text
from redsm5.pretraining.tokens import stored_tokens

KINDS = {
    "roberta": "BPE",
    "longformer": "BPE",
    "xlm-roberta": "Unigram",
    "deberta-v2": "Unigram",
    "big_bird": "Unigram",
}
TEXT = "Honestly I feel GLOOMY…  and\nsleepless, ﬁne — all the time!"


def write_release(family: str, folder: Path) -> Path:
    """Encoder, config and tokenizer of a family, tiny, with a vocabulary trained on the tiny posts."""
    facts = dataclasses.replace(
        tiny_facts(family), vocabulary=1600, tokenizer=KINDS.get(family, "WordPiece"), cased=family in KINDS
    )
    folder.mkdir()
    config = config_of_facts(facts)
    for name, value in SMALL_BLOCKS.get(family, {}).items():
        setattr(config, name, value)
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    texts = [post.text for post in tiny_posts()] * 20 + [
        "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789"
    ]
    write_tokenizer(facts, folder, texts)
    return folder


def test_families_are_those_of_the_catalog():
    assert {facts.family for facts in CATALOG.values()} == set(FAMILIES)


@pytest.mark.parametrize(
    ("family", "packing"),
    [
        *((family, "buckets") for family in FAMILIES),
        *(pytest.param(family, "packed", marks=pytest.mark.slow if family in PACKABLE else ()) for family in FAMILIES),
    ],
)
def test_stage_of_a_family(family, packing, tiny_corpus_dir, tmp_path, capsys):
    release = write_release(family, tmp_path / "release")
    style = {"bert": "whole_word", "deberta-v2": "whole_word", "roberta": "span"}.get(family, "token")
    more = (f"--pretraining.packing={packing}", f"--pretraining.masking_style={style}")
    code = main(pretrain_options(tiny_corpus_dir, release, tmp_path / "cache", *more))
    captured = capsys.readouterr()
    if packing == "packed" and family not in PACKABLE:
        assert code == 2
        assert "cannot keep the texts of a row apart; use buckets" in captured.err
        return
    assert code == 0, captured.err
    folder = Path(captured.out.rsplit("encoder: ", 1)[1].strip())
    record = read_record(folder)
    assert not record.pretrained_head
    assert record.curve[-1].loss < record.curve[0].loss
    before, after = (load_tokenizer(str(path)) for path in (release, folder))
    ids = [tokenizer(TEXT, return_offsets_mapping=True) for tokenizer in (before, after)]
    assert ids[0]["input_ids"] == ids[1]["input_ids"]
    assert ids[0]["offset_mapping"] == ids[1]["offset_mapping"]
    assert before.model_max_length == after.model_max_length
    state = {
        name: encoder.state_dict()
        for name, encoder in (("a", Encoder(str(release)).build()), ("b", Encoder(str(folder)).build()))
    }
    assert state["a"].keys() == state["b"].keys()
    assert any(not torch.equal(state["a"][name], tensor) for name, tensor in state["b"].items())


@pytest.mark.parametrize("family", FAMILIES)
def test_words_of_a_family_begin_where_the_text_has_them(family, tmp_path):
    """Against white space: transformers' own collator takes a whole text of DeBERTa or BigBird for one word."""
    text = "honestly zquickly the restless film xylophones and weeks again"
    tokenizer = load_tokenizer(str(write_release(family, tmp_path / "release")))
    tokens = stored_tokens(tmp_path / "tokens", [Text("a", text)], tokenizer)
    assert int(tokens.begins.sum()) == len(text.split())
    assert len(tokens.ids) > len(text.split()), "some word has several tokens"
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    starts = [text[first:end].lstrip() for (first, end), begins in zip(offsets, tokens.begins, strict=True) if begins]
    assert all(word.startswith(start) for word, start in zip(text.split(), starts, strict=True))
