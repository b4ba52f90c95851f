import importlib.util
import struct

import pytest

from redsm5.cli import build_cli, main
from redsm5.commands.plot_schedule import rate_curves
from redsm5.modules.encoder_weights import load


def options(corpus, encoder, *more):
    return [
        f"--data.path={corpus}",
        f"--model.encoder.id={encoder}",
        "--data.max_length=48",
        "--data.stride=8",
        "--data.batching.train=4",
        "--trainer.max_epochs=4",
        "--trainer.accelerator=cpu",
        "--trainer.devices=1",
        *more,
    ]


def curves_of(args):
    cli = build_cli(args)
    trainer = cli.make_trainer(enable_checkpointing=False)
    trainer.datamodule = cli.datamodule
    cli.datamodule.trainer = cli.model.trainer = trainer
    cli.datamodule.setup()
    return rate_curves(cli.model)


def test_plot_schedule_draws_without_loading_weights(tiny_corpus_dir, tiny_encoder, tmp_path, capsys, monkeypatch):
    def without_weights(encoder, *args, **settings):
        assert encoder.random_weights
        return load(encoder, *args, **settings)

    monkeypatch.setattr("redsm5.modules.encoder_weights.load", without_weights)
    out = tmp_path / "pictures" / "curve.png"
    command = options(tiny_corpus_dir, tiny_encoder, "--model.optimizer.layer_decay=0.8", "--model.schedule=Cosine")
    assert main(["plot-schedule", *command, "--out", str(out)]) == 0
    data = out.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert width > 1000
    assert height > 600
    assert f"{out}: 4 rates over " in capsys.readouterr().out


def test_rate_curves_are_those_of_every_group(tiny_corpus_dir, tiny_encoder):
    more = ["--model.optimizer.lr=1e-4", "--model.optimizer.head_lr=1e-3", "--model.optimizer.layer_decay=0.5"]
    curves = curves_of(options(tiny_corpus_dir, tiny_encoder, *more, "--model.schedule.warmup_ratio=0"))
    assert list(curves.rates) == ["lr_encoder.embeddings", "lr_encoder.layer.0", "lr_encoder.layer.1", "lr_head"]
    assert [rates[0] for rates in curves.rates.values()] == pytest.approx([0.25e-4, 0.5e-4, 1e-4, 1e-3])
    half = curves.total_steps // 2
    assert curves.rates["lr_head"][half] == pytest.approx(1e-3 * (1 - half / curves.total_steps))
    assert {rates[-1] for rates in curves.rates.values()} == {0.0}
    assert curves.total_steps == 4 * curves.steps_per_epoch


def test_rate_curves_know_what_losses_learn_and_the_ratio_of_lora_plus(tiny_corpus_dir, tiny_encoder):
    more = ["--model.criteria_loss=AdaptiveFocal", "--model.task_weighting=Uncertainty", "--model.peft=LoRAPlus"]
    rates = ["--model.optimizer.peft_lr=1e-4", "--model.optimizer.head_lr=1e-3", "--model.peft.ratio=8"]
    curves = curves_of(options(tiny_corpus_dir, tiny_encoder, *more, *rates, "--model.schedule=NoSchedule"))
    assert {name: rates[0] for name, rates in curves.rates.items()} == pytest.approx(
        {"lr_adapter": 1e-4, "lr_lora_b": 8e-4, "lr_head": 1e-3, "lr_loss": 1e-3}
    )


def test_rate_curve_of_relative_steps_is_the_optimizers_own(tiny_corpus_dir, tiny_encoder):
    more = ["--model.optimizer=Adafactor", "--model.optimizer.relative_step=true", "--model.optimizer.warmup_init=true"]
    curves = curves_of(options(tiny_corpus_dir, tiny_encoder, *more, "--model.schedule=NoSchedule"))
    (rates,) = curves.rates.values()
    assert rates[:3] == pytest.approx([1e-6, 2e-6, 3e-6])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--out", "curve.docx"], "its name must end in .png, .svg, .pdf"),
        ([], "required: --out"),
        (["--out", "curve.png", "--model.optimizer.lrr", "1"], "model.optimizer: its default has no option lrr"),
        (["--out", "curve.png", "--data.path", "no/such/corpus"], "no/such/corpus"),
    ],
)
def test_plot_schedule_bad_usage_is_one_sentence(args, said, tiny_encoder, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["plot-schedule", f"--model.encoder.id={tiny_encoder}", "--data.path=x", *args]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "curve.png").exists()


def test_plot_schedule_without_matplotlib_says_what_to_install(monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "redsm5.report.schedule_plot.find_spec", lambda name: None if name == "matplotlib" else found(name)
    )
    assert main(["plot-schedule", "--out", "curve.png"]) == 2
    assert "pip install 'redsm5[plots]'" in capsys.readouterr().err
