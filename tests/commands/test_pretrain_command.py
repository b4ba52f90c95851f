"""``redsm5 pretrain`` through the command line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from pretrain_runs import TEST_WORD, VAL_WORD, pretrain_options, write_marked_corpus, write_texts
from safetensors.torch import load_file
from tiny import tiny_vocabulary

from redsm5.cli import main
from redsm5.datamodules.tokenizer import load_tokenizer
from redsm5.metrics_csv import read_epochs
from redsm5.modules.encoder import Encoder
from redsm5.pretraining.record import read_record


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_marked_corpus(tmp_path_factory.mktemp("pretrain") / "corpus")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return write_texts(tmp_path_factory.mktemp("pretrain") / "texts")


def encoder_of(out: str) -> Path:
    return Path(re.search(r"^encoder: (.+)$", out, re.MULTILINE)[1])


@pytest.fixture
def pretrain(corpus, tiny_encoder, tmp_path, capsys):
    """Run the command; gives the folder of the encoder."""

    def run(*more, encoder=tiny_encoder, corpus=corpus, cache=tmp_path / "cache"):
        split = f"--data.split_file={corpus / 'split.csv'}"
        capsys.readouterr()
        assert main(pretrain_options(corpus, encoder, cache, split, *more)) == 0
        return encoder_of(capsys.readouterr().out)

    return run


def test_chain_leaves_an_encoder_whose_perplexity_has_fallen(pretrain, texts, tiny_encoder, tmp_path):
    more = ("--pretraining.use_dapt=true", f"--pretraining.texts={texts}", "--pretraining.dapt_epochs=3")
    folder = pretrain(*more, "--pretraining.tapt_epochs=2", f"--out={tmp_path / 'kept'}")
    record = read_record(folder)
    dapt, tapt = record.chain
    assert (dapt.kind, dapt.epochs, tapt.kind, tapt.epochs) == ("dapt", 3, "tapt", 2)
    assert dapt.texts == 60
    assert not dapt.pretrained_head
    assert tapt.pretrained_head, "the head of DAPT goes on in TAPT"
    assert dapt.curve[0].perplexity == pytest.approx(len(tiny_vocabulary()), rel=0.5)
    assert dapt.curve[-1].perplexity < 0.7 * dapt.curve[0].perplexity
    assert tapt.curve[-1].loss < tapt.curve[0].loss
    rows = read_epochs(folder.parent / "metrics.csv")
    assert [row["val_loss"] for row in rows] == [point.loss for point in tapt.curve[1:]]
    assert np.exp([row["val_loss"] for row in rows]) == pytest.approx([row["val_perplexity"] for row in rows])
    # Any command takes it: as an encoder with its own tokenizer, whose weights are others now.
    ours, theirs = (load_tokenizer(str(path))("Every morning I wake up gloomy.") for path in (folder, tiny_encoder))
    assert ours["input_ids"] == theirs["input_ids"]
    base, trained = (Encoder(str(path)).build().state_dict() for path in (tiny_encoder, folder))
    assert base.keys() == trained.keys()
    assert not torch.equal(
        base["model.embeddings.word_embeddings.weight"], trained["model.embeddings.word_embeddings.weight"]
    )
    assert (tmp_path / "kept" / "config.json").read_text() == (tiny_encoder / "config.json").read_text()
    kept, cached = (load_file(path / "model.safetensors") for path in (tmp_path / "kept", folder))
    assert all(torch.equal(kept[name], tensor) for name, tensor in cached.items())


def test_tapt_reads_no_post_of_validation_or_test(pretrain, tmp_path):
    """By its tokens, which are stored, and by its outcome: other validation and test posts change not a bit."""
    folder = pretrain(cache=tmp_path / "first")
    [tokens] = (tmp_path / "first" / "pretraining").glob("texts-*")
    ids = set(np.fromfile(tokens / "ids.bin", dtype=np.int32).tolist())
    vocabulary = tiny_vocabulary()
    assert vocabulary["sister"] in ids
    assert vocabulary[TEST_WORD] not in ids
    assert vocabulary[VAL_WORD] not in ids
    other = write_marked_corpus(tmp_path / "other", outside="Every morning I wake up gloomy again. " * 9)
    again = pretrain(corpus=other, cache=tmp_path / "second")
    assert again.parent.name == folder.parent.name
    assert (again / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    record = read_record(again)
    parts = [line.split(",")[1] for line in (other / "split.csv").read_text().split()]
    assert record.texts == parts.count("train")


def test_epochs_are_snapshots_of_one_run(pretrain, tmp_path):
    one = pretrain(cache=tmp_path / "a")
    before = (one / "model.safetensors").read_bytes()
    state = one.parent / "checkpoints"
    assert len(list(state.iterdir())) == 1, "more epochs go on from there"
    two = pretrain("--pretraining.tapt_epochs=2", cache=tmp_path / "a")
    assert two.parent == one.parent
    assert list(state.iterdir()) == [], "there are two epochs of TAPT at most"
    assert (one / "model.safetensors").read_bytes() == before
    at_once = pretrain("--pretraining.tapt_epochs=2", cache=tmp_path / "b")
    assert (two / "model.safetensors").read_bytes() == (at_once / "model.safetensors").read_bytes()
    assert read_record(two).curve == read_record(at_once).curve
    assert (at_once.parent / "epoch-1" / "model.safetensors").read_bytes() == before


def test_stage_that_is_there_is_used_again(pretrain, monkeypatch):
    folder = pretrain()
    monkeypatch.setattr("redsm5.pretraining.stage.make_stage", lambda *_: pytest.fail("made again"))
    assert pretrain() == folder


@pytest.mark.parametrize(
    "more",
    [
        ("--pretraining.masking_style=span",),
        ("--pretraining.masking_style=whole_word", "--pretraining.tapt_mlm_prob=0.3"),
        ("--pretraining.packing=packed",),
        ("--model.encoder.random_weights=true",),
        ("--runtime.precision=bf16", "--pretraining.accumulate=2", "--pretraining.warmup=0.5"),
        ("--pretraining.hidden_dropout=0.3", "--pretraining.held_out=0.3", "--pretraining.weight_decay=0.5"),
    ],
)
def test_settings_make_a_stage_of_their_own_with_other_weights(pretrain, more):
    plain, other = pretrain(), pretrain(*more)
    assert plain.parent != other.parent
    assert (plain / "model.safetensors").read_bytes() != (other / "model.safetensors").read_bytes()
    assert read_record(other).curve[-1].loss < read_record(other).curve[0].loss


def test_lora_leaves_a_plain_encoder(corpus, tiny_encoder, tmp_path, capsys):
    options = pretrain_options(corpus, tiny_encoder, tmp_path)
    assert main([*options, "--pretraining.lora_r=4", f"--data.split_file={corpus / 'split.csv'}"]) == 0
    folder = encoder_of(capsys.readouterr().out)
    base, trained = (Encoder(str(path)).build().state_dict() for path in (tiny_encoder, folder))
    assert base.keys() == trained.keys()
    changed = {name for name in base if not torch.equal(base[name], trained[name])}
    assert changed, "LoRA is folded in"
    assert all(re.search(r"(query|key|value|dense)\.weight$", name) for name in changed)
    assert read_record(folder).curve[-1].loss < read_record(folder).curve[0].loss


def test_nothing_to_do_is_a_sentence(corpus, tiny_encoder, tmp_path, capsys):
    options = [f"--model.encoder.id={tiny_encoder}", f"--data.path={corpus}"]
    assert main(["pretrain", *options]) == 2
    assert "set pretraining.use_dapt or pretraining.use_tapt" in capsys.readouterr().err
    assert main(pretrain_options(corpus, tiny_encoder, tmp_path, f"--out={tmp_path}")) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("--pretraining.max_length=4096 --pretraining.batch_tokens=4096", "reads at most 512 tokens"),
        ("--pretraining.tapt_epochs=5", "pretraining.tapt_epochs is 5; it must be between 0 and 2"),
        ("--pretraining.masking_style=words", "it takes token or whole_word or span"),
        ("--pretraining.use_dapt=true --pretraining.texts=/nowhere", "there is no such folder or file"),
    ],
)
def test_what_cannot_be_is_one_sentence(corpus, tiny_encoder, tmp_path, capsys, more, sentence):
    assert main(pretrain_options(corpus, tiny_encoder, tmp_path, *more.split())) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_no_post_stands_in_log_or_record(pretrain, corpus):
    folder = pretrain()
    written = "".join(path.read_text() for path in folder.parent.glob("run.*"))
    written += (folder / "pretraining.json").read_text()
    assert "training ended" in written
    for line in (corpus / "redsm5_posts.csv").read_text().splitlines()[1:]:
        assert line.split(",", 1)[1].strip('"')[:25] not in written
    assert json.loads((folder / "pretraining.json").read_text())["format"] == 1
