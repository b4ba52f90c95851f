"""Runs with PEFT or freezing, from fit to export, through the command line."""

from __future__ import annotations

import json

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tiny_runs import fit_options

import redsm5
from redsm5.callbacks.metrics_file import MetricsFile
from redsm5.checkpoints.store import read_checkpoint
from redsm5.cli import main
from redsm5.errors import UserError
from redsm5.inference.export import export
from redsm5.inference.model_files import sha256_of
from redsm5.metrics_csv import read_epochs
from redsm5.peft.names import part_of
from redsm5.run.folder import RunFolder

TEXTS = ["Honestly I feel gloomy all the time. The bus was late again today.", "It rained. " * 40]
METHODS = {
    "lora": ("--model.peft=LoRA", "--model.peft.r=4", "--model.peft.bias=all"),
    "compacter": ("--model.peft=Compacter", "--model.peft.bottleneck=16"),
    "frozen": ("--model.freezing=BottomLayers", "--model.freezing.n=1"),
}


@pytest.fixture(scope="module", params=METHODS)
def run(request, tiny_corpus_dir, tiny_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    more = (*METHODS[request.param], "--trainer.max_epochs=1", f"--data.cache_dir={folder / 'cache'}")
    assert main(fit_options(tiny_corpus_dir, tiny_encoder, folder / "run", *more)) == 0
    assert main(["test", str(folder / "run")]) == 0
    return folder / "run"


def predicted(folder):
    return [p.probabilities for p in redsm5.load(folder).predict(TEXTS)]


def is_merged(run):
    return yaml.safe_load((run / "config.yaml").read_text())["model"]["peft"]["class_path"].endswith("LoRA")


def test_report_counts_what_was_trained(run):
    encoder = json.loads((run / "report.json").read_text())["encoder"]
    assert 0 < encoder["trainable"] < 0.7 * encoder["parameters"]


def test_whole_export_predicts_as_the_run_and_holds_lora_folded_in(run, tiny_encoder, tmp_path):
    export(run, tmp_path / "model")
    names = load_file(tmp_path / "model" / "model.safetensors").keys()
    plain = {f"encoder.model.{name}" for name in load_file(tiny_encoder / "model.safetensors")}
    if is_merged(run):
        assert not any(part_of(name) for name in names)
        assert plain == {name for name in names if name.startswith("encoder.")}
        assert "peft" not in yaml.safe_load((tmp_path / "model" / "config.yaml").read_text())["model"]
        for ours, theirs in zip(predicted(tmp_path / "model"), predicted(run), strict=True):
            assert ours == pytest.approx(theirs, abs=1e-5)
    else:
        assert predicted(tmp_path / "model") == predicted(run)


def test_adapter_export_holds_what_was_trained_and_stands_on_its_base(run, tiny_encoder, tmp_path, capsys):
    out = tmp_path / "model"
    assert main(["export", str(run), "--out", str(out), "--adapter-only"]) == 0
    assert predicted(out) == predicted(run)
    state = load_file(out / "model.safetensors")
    report = json.loads((run / "report.json").read_text())["encoder"]
    assert sum(t.numel() for t in state.values()) == report["trainable"]
    # No matrix of the base is in it, under whatever name.
    untouched = [t for n, t in load_file(tiny_encoder / "model.safetensors").items() if t.ndim > 1]
    assert not any(t.shape == u.shape and torch.equal(t, u) for t in state.values() for u in untouched)


def test_adapter_export_that_lacks_a_trained_tensor_is_refused(run, tmp_path):
    out = tmp_path / "model"
    export(run, out, kind="adapter_only")
    state = load_file(out / "model.safetensors")
    name = next(n for n in state if n.startswith("encoder."))
    save_file({n: t for n, t in state.items() if n != name}, out / "model.safetensors")
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["files"]["model.safetensors"] = sha256_of(out / "model.safetensors")
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="lacks 1 tensors"):
        redsm5.load(out)


def test_adapter_export_on_another_base_is_refused(run, tiny_encoder, tmp_path):
    out = tmp_path / "model"
    export(run, out, kind="adapter_only")
    weights = tiny_encoder / "model.safetensors"
    before = weights.read_bytes()
    state = load_file(weights)
    try:
        save_file({n: t + 1e-3 for n, t in state.items()}, weights, metadata={"format": "pt"})
        with pytest.raises(UserError, match="are not those that the model was trained on"):
            redsm5.load(out)
    finally:
        weights.write_bytes(before)


@pytest.mark.slow
def test_adalora_run_goes_on_after_an_interrupt_as_if_there_had_been_none(
    tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch
):
    method = ("--model.peft=AdaLoRA", "--model.peft.initial_r=4", "--model.peft.target_r=2", "--model.peft.interval=1")
    more = (*method, "--trainer.max_epochs=3", f"--data.cache_dir={tmp_path / 'cache'}")
    assert main(fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "whole", *more)) == 0
    started = MetricsFile.on_train_epoch_start

    def interrupt_in_the_third_epoch(self, trainer, pl_module):
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt
        started(self, trainer, pl_module)

    command = fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "cut", *more)
    with monkeypatch.context() as patch:
        patch.setattr(MetricsFile, "on_train_epoch_start", interrupt_in_the_third_epoch)
        assert main(command) == 130
    assert main(command) == 0
    whole, cut = (read_checkpoint(RunFolder(tmp_path / name).resume_from())["state_dict"] for name in ("whole", "cut"))
    assert all(torch.equal(t, cut[n]) for n, t in whole.items())
    ranks = [int((t != 0).sum()) for n, t in whole.items() if "lora_E" in n]
    assert sum(ranks) == 2 * len(ranks)
    assert all("train_loss_peft" in epoch for epoch in read_epochs(tmp_path / "whole" / "metrics.csv"))
    export(tmp_path / "whole", tmp_path / "model")
    assert predicted(tmp_path / "model")[0] == pytest.approx(predicted(tmp_path / "whole")[0], abs=1e-5)


def test_lora_that_was_trained_in_bf16_is_exported(tiny_corpus_dir, tiny_encoder, tmp_path):
    """Folded weights are rounded otherwise in bf16: the comparison is in fp32."""
    more = ("--model.peft=LoRA", "--model.peft.r=8", "--model.peft.alpha=128", "--runtime.precision=bf16")
    cache = f"--data.cache_dir={tmp_path / 'cache'}"
    assert main(fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "run", *more, cache)) == 0
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "model")]) == 0
    run, model = (redsm5.load(tmp_path / name).predict(["I feel gloomy."])[0] for name in ("run", "model"))
    assert model.probabilities == pytest.approx(run.probabilities, abs=0.02)
