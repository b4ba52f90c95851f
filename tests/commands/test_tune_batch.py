import json
from pathlib import Path

import pytest
import yaml

from redsm5.batch_search import one
from redsm5.batch_search.calibration import read_calibration
from redsm5.cli import main
from redsm5.errors import UserError

ROOT = Path(__file__).parents[2]
SMALL = "google-bert/bert-base-uncased"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REDSM5_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "calibration.json"


def options(encoder, corpus, *more):
    return [
        "tune-batch", "--config", str(ROOT / "configs" / "fit.yaml"), f"--model.encoder.id={encoder}",
        f"--data.path={corpus}", "--data.max_length=64", "--data.stride=8", "--data.max_windows=2",
        "--trainer.accelerator=cpu", "--runtime.threads=1", "--memory-gb", "2", *more,
    ]  # fmt: skip


def test_tune_batch_says_what_fits_and_how_to_use_it(tiny_encoder, tiny_corpus_dir, cache, tmp_path, capsys):
    overlay = tmp_path / "batch.yaml"
    assert main(options(tiny_encoder, tiny_corpus_dir, "--effective", "6", "--out", str(overlay))) == 0
    said = capsys.readouterr()
    (entry,) = read_calibration(cache).entries
    assert (entry.encoder, entry.method, entry.unit) == (str(tiny_encoder), "predicted", 2)
    assert f"{entry.windows} windows of 64 tokens fit" in said.out
    assert "accumulate: 1 batches make an optimizer step of 6 examples" in said.out
    assert "2 windows in training (1 examples), 1 in evaluation: fits, 0." in said.err
    assert "fit --tune_batch takes it" not in said.out  # fit accumulates as its config says
    config = yaml.safe_load(overlay.read_text())
    sizes = config["data"]["batching"]["init_args"]
    assert sizes["train"] == 6
    assert config["trainer"] == {"accumulate_grad_batches": 1}
    assert f"--data.batching.init_args.eval {sizes['eval']}" in said.out
    run = tmp_path / "run"
    fit = ["fit", *options(tiny_encoder, tiny_corpus_dir)[1:-2], "--config", str(overlay), f"--run_dir={run}"]
    assert main([*fit, "--trainer.max_epochs=1"]) == 0
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["batching"]["init_args"] == sizes


def test_tune_batch_stops_at_a_quarter_of_the_training_posts(tiny_encoder, tiny_corpus_dir, cache):
    assert main(options(tiny_encoder, tiny_corpus_dir)) == 0
    (entry,) = read_calibration(cache).entries
    assert entry.windows == 2 * (42 // 4)  # of 60 posts 42 train


def test_tune_batch_of_a_token_budget_counts_tokens(tiny_encoder, tiny_corpus_dir, cache, capsys):
    more = ("--data.batching=TokenBudget", "--mode", "binsearch")
    assert main(options(tiny_encoder, tiny_corpus_dir, *more)) == 0
    (entry,) = read_calibration(cache).entries
    assert f"--data.batching.init_args.train_tokens {entry.windows * 64}" in capsys.readouterr().out
    assert entry.method == "binsearch"


def test_tune_batch_says_what_a_single_example_needs(tiny_encoder, tiny_corpus_dir, cache, capsys):
    wanted = options(tiny_encoder, tiny_corpus_dir)
    wanted[-1] = "0.3"
    assert main(wanted) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("redsm5: error: a batch of 1 (2 windows of 64 tokens) does not fit")
    assert "0.3 GB less 5% on CPU and needs about 0." in said
    assert "gradient_checkpointing" in said
    assert read_calibration(cache).entries[0].windows is None


REFUSED = {
    "memory": (["--memory-gb", "0"], "--memory-gb is 0; it must be above 0"),
    "margin": (["--margin", "1"], "--margin is 1; it is a share"),
    "effective": (["--effective", "0"], "--effective is 0"),
    "effective of tokens": (["--effective", "8", "--data.batching=TokenBudget"], "--effective counts examples"),
    "both kinds": (["--all", "--out", "x.yaml"], "--effective and --out are for one config"),
    "grid without a catalog": (["--lengths", "128"], "--lengths is for the catalog"),
    "unknown model": (["--models", "no/such"], "--models has no no/such; "),
    "close model": (["--models", "google-bert/bert-base"], "did you mean google-bert/bert-base-uncased?"),
    "no model": (["--models", ","], "--models is empty"),
    "all and some": (["--all", "--models", SMALL], "leave one out"),
    "order without probes": (["--predict", "--mode", "power"], "--predict tries none"),
    "checkpointing of one config": (["--checkpointing", "on"], "--checkpointing is for the catalog"),
    "unknown method": (["--all", "--peft", "Magic"], "--peft has no Magic; it takes NoPEFT, LoRA"),
    "lengths": (["--all", "--lengths", "long"], "--lengths is long; it takes whole numbers"),
    "short": (["--all", "--lengths", "8"], "at least 32 tokens"),
    "unknown key": (["--model.magic=1"], "there is no key model.magic"),
    "missing corpus": (["--data.path=/no/such/folder"], "/no/such/folder"),
}


@pytest.mark.parametrize(("more", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_tune_batch_refuses_with_a_sentence(tiny_encoder, tiny_corpus_dir, cache, capsys, more, sentence):
    assert main([*options(tiny_encoder, tiny_corpus_dir), *more]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert sentence in said[-1]
    assert not cache.exists()


def test_tune_batch_says_a_damaged_calibration_before_it_searches(tiny_encoder, tiny_corpus_dir, cache, capsys):
    cache.parent.mkdir()
    cache.write_text("{")
    assert main(options(tiny_encoder, tiny_corpus_dir)) == 2
    assert "windows in training" not in capsys.readouterr().err


GRID = ("--lengths", "128", "--precisions", "none", "--checkpointing", "off", "--peft", "NoPEFT,LoRA")


def test_tune_batch_of_the_catalog_goes_on_where_it_was_stopped(cache, capsys, monkeypatch):
    command = ["tune-batch", "--config", str(ROOT / "configs/fit.yaml"), "--models", SMALL, "--predict", *GRID]
    found = one.entry_of

    def stopped(request, tell):
        if request.setting.peft == "LoRA":
            raise KeyboardInterrupt
        return found(request, tell)

    monkeypatch.setattr("redsm5.batch_search.catalog_run.entry_of", stopped)
    assert main(command) == 130
    assert [entry.peft for entry in read_calibration(cache).entries] == ["NoPEFT"]
    capsys.readouterr()
    monkeypatch.setattr("redsm5.batch_search.catalog_run.entry_of", found)
    assert main(command) == 0
    said = capsys.readouterr()
    assert "2 settings, 1 of them in" in said.err
    assert said.err.count("[1/1]") == 1
    entries = {entry.peft: entry for entry in read_calibration(cache).entries}
    assert entries["LoRA"].windows > entries["NoPEFT"].windows > 100
    for entry in entries.values():
        assert entry.device.memory_gb == 24.0
        assert entry.device.memory_gb * 0.85 < entry.peak_gb <= entry.device.memory_gb * 0.95
        assert entry.predicted_gb == pytest.approx(entry.trained_gb, rel=0.02)
        assert entry.trained_gb <= entry.peak_gb
    assert main(command) == 0
    assert "2 of them in" in capsys.readouterr().err


def test_tune_batch_of_an_encoder_of_the_catalog_needs_no_download(cache, capsys, monkeypatch):
    """Prediction and probe of a config that names a hub id, with no hub."""
    command = ["tune-batch", "--config", str(ROOT / "configs/fit.yaml"), "--data.max_length=64"]
    assert main([*command, "--predict"]) == 0
    assert "no data.path is given" in capsys.readouterr().err
    assert json.loads(cache.read_text())["entries"][0]["method"] == "fake"


def test_tune_batch_predicts_for_devices_that_are_not_here(tiny_encoder, tiny_corpus_dir, cache):
    command = [arg for arg in options(tiny_encoder, tiny_corpus_dir) if arg != "--trainer.accelerator=cpu"]
    cuda = ("--predict", "--trainer.accelerator=cuda", "--runtime.precision=fp16")
    assert main([*command, *cuda]) == 0
    (entry,) = read_calibration(cache).entries
    assert (entry.method, entry.precision) == ("fake", "fp16")


def test_tune_batch_of_the_catalog_goes_on_past_what_crashes(cache, capsys, monkeypatch):
    found = one.entry_of

    def crashing(request, tell):
        if request.setting.peft == "NoPEFT":
            raise UserError("it cannot be tried: the process was killed (SIGSEGV)")
        return found(request, tell)

    monkeypatch.setattr("redsm5.batch_search.catalog_run.entry_of", crashing)
    command = ["tune-batch", "--config", str(ROOT / "configs/fit.yaml"), "--models", SMALL, "--predict", *GRID]
    assert main(command) == 2
    said = capsys.readouterr()
    assert said.err.count("it cannot be tried: the process was killed (SIGSEGV)") == 2
    assert "1 settings could not be tried; the same command tries them again" in said.err
    assert [entry.peft for entry in read_calibration(cache).entries] == ["LoRA"]


def test_tune_batch_that_is_interrupted_says_what_is_true(tiny_encoder, tiny_corpus_dir, cache, capsys, monkeypatch):
    def interrupted(*args, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(one, "search", interrupted)
    assert main(options(tiny_encoder, tiny_corpus_dir)) == 130
    assert "the same command searches anew" in capsys.readouterr().err
    assert not cache.exists()


def test_tune_batch_takes_the_shipped_config_by_default(cache, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["tune-batch", "--predict"]) == 0
    assert "google-bert/bert-base-uncased on GPU, 24.0 GB less 5%" in capsys.readouterr().out


def test_tune_batch_without_a_config_outside_a_checkout_is_a_sentence(tmp_path, cache, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("redsm5.shipped.__file__", str(tmp_path / "redsm5" / "shipped.py"))  # as of a wheel
    assert main(["tune-batch", "--predict"]) == 2
    assert "give a config with --config FILE" in capsys.readouterr().err
