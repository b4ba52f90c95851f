"""A run that was stopped, wherever it was, goes on as if it had not been."""

import os
import shutil
import signal
import time

import pytest
import torch
from run_outcomes import assert_equal, ended, outcome
from safetensors.torch import load_file, save_file
from tiny_runs import fit_options

from redsm5.callbacks.checkpoints import Checkpoints
from redsm5.callbacks.random_state import RandomState
from redsm5.checkpoints.store import read_checkpoint
from redsm5.cli import main
from redsm5.modules.module import MultiTaskModule
from redsm5.run import fit
from redsm5.run.folder import RunFolder

BASE = ("--trainer.max_epochs=2", "--data.batching.train=8", "--trainer.accumulate_grad_batches=2")
"""Six batches per epoch, three optimizer steps."""
KINDS = {
    "plain": (),
    "tokens": ("--data.batching=TokenBudget", "--data.batching.train_tokens=600"),
    "plateau": ("--model.schedule=ReduceOnPlateau", "--model.schedule.patience=2"),
    "adalora": ("--model.peft=AdaLoRA", "--model.peft.initial_r=4", "--model.peft.target_r=2"),
    "pairs": ("--data.format=BinaryPairs", "--data.max_length=128"),
    "workers": ("--data.workers=2",),
}


@pytest.fixture(scope="module")
def command(tiny_corpus_dir, tiny_encoder, tmp_path_factory):
    cache = tmp_path_factory.mktemp("resume-cache")

    def made(run_dir, *more):
        return fit_options(tiny_corpus_dir, tiny_encoder, run_dir, *BASE, f"--data.cache_dir={cache}", *more)

    return made


class StopAt:
    """Sends a signal while the batch with this number, over all epochs, is trained on."""

    def __init__(self, batch, number=signal.SIGTERM):
        self.left, self.number = batch, number

    def __enter__(self):
        self.patch = pytest.MonkeyPatch()
        step = MultiTaskModule.training_step

        def stop(module, batch, index):
            if self.left == 0:
                signal.raise_signal(self.number)
            self.left -= 1
            return step(module, batch, index)

        self.patch.setattr(MultiTaskModule, "training_step", stop)

    def __exit__(self, *_):
        self.patch.undo()


@pytest.mark.parametrize("kind", KINDS)
def test_run_stopped_in_mid_epoch_ends_as_the_uninterrupted_one(command, tmp_path, kind, capsys):
    assert main(command(tmp_path / "whole", *KINDS[kind])) == 0
    cut = command(tmp_path / "cut", *KINDS[kind])
    for batch in (1, 2, 3):
        with StopAt(batch):
            assert main(cut) == 128 + signal.SIGTERM
    assert "stopped in epoch" in capsys.readouterr().err
    assert main(cut) == 0
    whole, resumed = outcome(tmp_path / "whole"), outcome(tmp_path / "cut")
    assert_equal(resumed[0], whole[0])
    assert resumed[1:] == whole[1:]


def test_no_example_is_seen_twice_or_left_out_after_a_stop(command, tmp_path, monkeypatch):
    seen = []
    step = MultiTaskModule.training_step

    def note(module, batch, index):
        seen.append((module.current_epoch, tuple(batch.post_index.tolist())))
        return step(module, batch, index)

    monkeypatch.setattr(MultiTaskModule, "training_step", note)
    assert main(command(tmp_path / "whole")) == 0
    whole, seen[:] = list(seen), []
    for batch in (1, 5, 2):
        with StopAt(batch):
            assert main(command(tmp_path / "cut")) == 143
    assert main(command(tmp_path / "cut")) == 0
    assert seen == whole


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 128 + signal.SIGUSR1)]
)
def test_stop_waits_for_the_optimizer_step_and_says_where_it_stands(command, tmp_path, number, code, capsys):
    with StopAt(2, number):
        assert main(command(tmp_path / "run")) == code
    said = capsys.readouterr().err
    assert "stopping after this step" in said
    assert "stopped in epoch 0 after 4 batches; the same command goes on from there" in said
    assert "Traceback" not in said
    state = read_checkpoint(RunFolder(tmp_path / "run").resume_from())
    assert state["global_step"] == 2
    assert state["ReDSM5DataModule"] == {"epoch": 0, "batches": 4, "ranks": 1}
    assert "redsm5" not in str(getattr(signal.getsignal(number), "__module__", ""))  # given back


def test_stop_in_the_validation_waits_for_its_end(command, tmp_path, monkeypatch, capsys):
    step = MultiTaskModule.validation_step

    def stop(module, batch, index):
        if module.current_epoch == 0 and index == 0:
            signal.raise_signal(signal.SIGTERM)
        return step(module, batch, index)

    assert main(command(tmp_path / "whole")) == 0
    with monkeypatch.context() as patch:
        patch.setattr(MultiTaskModule, "validation_step", stop)
        assert main(command(tmp_path / "cut")) == 143
    assert "stopped after epoch 0" in capsys.readouterr().err
    assert main(command(tmp_path / "cut")) == 0
    assert_equal(outcome(tmp_path / "cut")[0], outcome(tmp_path / "whole")[0])


def test_second_signal_ends_at_once_and_the_run_goes_on_from_the_save_before(command, tmp_path, monkeypatch):
    step = MultiTaskModule.training_step
    calls = []

    def twice(module, batch, index):
        calls.append(index)
        if len(calls) == 8:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
        return step(module, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(MultiTaskModule, "training_step", twice)
        assert main(command(tmp_path / "cut")) == 130
    assert len(calls) == 8
    assert RunFolder(tmp_path / "cut").resume_from().name.startswith("last-000")
    assert main(command(tmp_path / "cut")) == 0
    assert main(command(tmp_path / "whole")) == 0
    assert_equal(outcome(tmp_path / "cut")[0], outcome(tmp_path / "whole")[0])


def test_random_state_decides_what_a_resumed_run_draws(command, tmp_path, monkeypatch):
    """A control: without the states, dropout differs, and the tests above would fail."""
    assert main(command(tmp_path / "whole")) == 0
    with StopAt(3):
        assert main(command(tmp_path / "cut")) == 143
    monkeypatch.setattr(RandomState, "on_train_start", lambda *_: None)
    assert main(command(tmp_path / "cut")) == 0
    with pytest.raises(AssertionError):
        assert_equal(outcome(tmp_path / "cut")[0], outcome(tmp_path / "whole")[0])


@pytest.fixture
def saved(monkeypatch):
    """Kind and step of what is saved."""
    found = []
    save = Checkpoints._save

    def note(self, trainer, kind, values):
        found.append((kind, trainer.global_step))
        save(self, trainer, kind, values)

    monkeypatch.setattr(Checkpoints, "_save", note)
    return found


def test_checkpoints_within_an_epoch_come_when_they_are_asked_for(command, tmp_path, saved):
    assert main(command(tmp_path / "each", "--checkpoint.every_minutes=0", "--trainer.max_epochs=1")) == 0
    assert [step for kind, step in saved if kind == "resume"] == [1, 2, 3]
    saved.clear()
    assert main(command(tmp_path / "epoch", "--trainer.max_epochs=1")) == 0
    assert [step for kind, step in saved if kind == "resume"] == [3]


SELDOM = ("--checkpoint.min_seconds=3600", "--trainer.max_epochs=3")


@pytest.mark.parametrize(
    ("more", "states"),
    [
        ((), [9]),
        (("--early_stopping.patience=1", "--model.optimizer.lr=0", "--model.optimizer.head_lr=0"), [6]),
        (("--checkpoint.min_seconds=1e-9",), [3, 6, 9]),
        (("--checkpoint.every_minutes=0",), list(range(1, 10))),
    ],
    ids=["the last epoch", "the one that early stopping makes the last", "long ago", "each step"],
)
def test_epochs_soon_after_a_state_write_none_but_for_the_last(command, tmp_path, saved, more, states):
    assert main(command(tmp_path / "run", *SELDOM, "--checkpoint.keep_best=0", *more)) == 0
    assert [step for kind, step in saved if kind == "resume"] == states


def test_weights_are_never_written_without_a_state_that_knows_them(command, tmp_path, saved):
    """Going on from an older one drops them, and those before them are gone."""
    assert main(command(tmp_path / "run", *SELDOM)) == 0
    weights = [step for kind, step in saved if kind == "weights"]
    assert weights
    assert [step for kind, step in saved if kind == "resume"] == sorted({*weights, 9})


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("batch", [8, 11], ids=["within an epoch", "at its end"])
def test_run_stopped_between_states_goes_on_where_it_was_stopped(command, tmp_path, saved, batch, number, code):
    more = (*SELDOM, "--checkpoint.keep_best=0")
    assert main(command(tmp_path / "whole", *more)) == 0
    saved.clear()
    with StopAt(batch, number):
        assert main(command(tmp_path / "cut", *more)) == code
    assert [step for kind, step in saved if kind == "resume"] == [batch // 2 + 1]
    assert main(command(tmp_path / "cut", *more)) == 0
    cut, whole = ended(tmp_path / "cut"), ended(tmp_path / "whole")
    assert_equal(cut[0], whole[0])
    assert cut[1] == whole[1]


def test_run_that_is_told_to_stop_while_it_saves_its_last_epoch_stops(command, tmp_path, monkeypatch):
    save = Checkpoints._save

    def signalled(self, trainer, kind, values):
        save(self, trainer, kind, values)
        if kind == "resume":
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Checkpoints, "_save", signalled)
    assert main(command(tmp_path / "run", "--trainer.max_epochs=1")) == 143


def test_run_killed_between_states_does_the_epochs_since_again(command, tmp_path):
    """What they have written, rows of metrics, is written once."""
    more = (*SELDOM, "--checkpoint.keep_best=0")
    assert main(command(tmp_path / "whole", *more)) == 0
    if (child := os.fork()) == 0:
        late = iter([True, False])
        Checkpoints._is_late = lambda *_: next(late)
        MultiTaskModule.on_train_epoch_start = lambda module: (
            os.kill(os.getpid(), signal.SIGKILL) if module.trainer.current_epoch == 2 else None
        )
        main(command(tmp_path / "cut", *more))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "cut" / "checkpoints").glob("last-*")] == ["last-000-0000003"]
    assert main(command(tmp_path / "cut", *more)) == 0
    cut, whole = ended(tmp_path / "cut"), ended(tmp_path / "whole")
    assert_equal(cut[0], whole[0])
    assert cut[1] == whole[1]


def test_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(command, tmp_path, capsys):
    more = ("--checkpoint.keep_last=2",)
    assert main(command(tmp_path / "whole", *more)) == 0
    with StopAt(8):
        assert main(command(tmp_path / "cut", *more)) == 143
    newest = RunFolder(tmp_path / "cut").resume_from()
    content = bytearray((newest / "state.safetensors").read_bytes())
    content[-5] ^= 4
    (newest / "state.safetensors").write_bytes(content)
    assert main(command(tmp_path / "cut", *more)) == 0
    captured = capsys.readouterr()
    assert f"{newest} is damaged (state.safetensors is not what was written)" in captured.err
    assert "going on from" in captured.out
    assert_equal(outcome(tmp_path / "cut")[0], outcome(tmp_path / "whole")[0])


def test_run_without_states_to_go_on_from_starts_over(command, tmp_path, capsys):
    more = ("--checkpoint.keep_last=0",)
    with StopAt(3):
        assert main(command(tmp_path / "run", *more)) == 143
    assert "no state was kept (keep_last is 0)" in capsys.readouterr().err
    assert main(command(tmp_path / "run", *more)) == 0
    assert "going on from" not in capsys.readouterr().out
    assert {p.name.split("-")[0] for p in (tmp_path / "run" / "checkpoints").iterdir()} == {"best"}


def test_run_without_any_checkpoint_is_evaluated_as_it_ended(command, tmp_path, capsys):
    more = ("--checkpoint.keep_last=0", "--checkpoint.keep_best=0")
    assert main(command(tmp_path / "none", *more)) == 0
    assert main(command(tmp_path / "kept", "--early_stopping.monitor=val_loss")) == 0
    assert os.listdir(tmp_path / "none" / "checkpoints") == []
    assert (tmp_path / "none" / "metrics.csv").exists()
    assert (tmp_path / "none" / "report.json").exists()
    capsys.readouterr()
    assert main(["test", str(tmp_path / "none")]) == 2
    assert "holds no weights; a run keeps them with --checkpoint.keep_best 1" in capsys.readouterr().err


def test_clock_that_is_set_back_changes_nothing(command, tmp_path, monkeypatch):
    assert main(command(tmp_path / "whole")) == 0
    with StopAt(8):
        assert main(command(tmp_path / "cut")) == 143
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    for path in (tmp_path / "cut" / "checkpoints").rglob("*"):
        os.utime(path, (real() + 3600, real() + 3600))  # as if written by a clock that was ahead
    assert main(command(tmp_path / "cut")) == 0
    assert_equal(outcome(tmp_path / "cut"), outcome(tmp_path / "whole"))


def test_run_that_went_out_of_memory_goes_on(command, tmp_path, monkeypatch, capsys):
    step, left = MultiTaskModule.training_step, [8]

    def full(module, batch, index):
        left[0] -= 1
        if left[0] == 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return step(module, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(MultiTaskModule, "training_step", full)
        assert main(command(tmp_path / "cut")) == 2
    assert "error: out of memory: lower data.batching.train" in capsys.readouterr().err
    assert main(command(tmp_path / "cut")) == 0
    assert main(command(tmp_path / "whole")) == 0
    assert_equal(outcome(tmp_path / "cut"), outcome(tmp_path / "whole"))


def spoil_base(encoder):
    """Another encoder in the same place: the same shapes, other weights."""
    tensors = load_file(encoder / "model.safetensors")
    save_file({name: tensor + 0.5 for name, tensor in tensors.items()}, encoder / "model.safetensors", {"format": "pt"})


def test_frozen_encoder_that_was_changed_is_refused(command, tiny_encoder, tmp_path, capsys):
    encoder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, encoder)
    more = (f"--model.encoder.id={encoder}", "--model.peft=LoRA")
    assert main(command(tmp_path / "done", *more)) == 0
    with StopAt(8):
        assert main(command(tmp_path / "cut", *more)) == 143
    spoil_base(encoder)
    capsys.readouterr()
    for args in (
        command(tmp_path / "cut", *more),
        ["validate", str(tmp_path / "done")],
        ["test", str(tmp_path / "done")],
    ):
        assert main(args) == 2
        assert f"the weights of {encoder} that are not trained are others than when" in capsys.readouterr().err


def test_fresh_leaves_a_run_alone_until_the_new_one_can_begin(command, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(command(run)) == 0
    before = sorted(path.name for path in run.rglob("*"))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(command(run, "--fresh", f"--data.path={empty}")) == 2
    assert sorted(path.name for path in run.rglob("*")) == before
    assert main(["validate", str(run)]) == 0


def test_unfinished_run_is_never_cleared_silently(command, tmp_path, capsys):
    with StopAt(8):
        assert main(command(tmp_path / "run")) == 143
    (RunFolder(tmp_path / "run").resume_from() / "state.json").write_text("{")
    assert main(command(tmp_path / "run", "--data.stride=7")) == 2
    assert "whose config differs in data.stride" in capsys.readouterr().err
    assert main(command(tmp_path / "run")) == 2
    assert "can be read any more; add --fresh" in capsys.readouterr().err


def test_settings_that_decide_no_figure_may_change_on_the_way(command, tmp_path):
    assert main(command(tmp_path / "whole")) == 0
    with StopAt(8):
        assert main(command(tmp_path / "cut")) == 143
    shutil.move(tmp_path / "cut", tmp_path / "moved")
    assert main(command(tmp_path / "moved", "--checkpoint.keep_last=2", "--data.workers=1")) == 0
    assert_equal(outcome(tmp_path / "moved"), outcome(tmp_path / "whole"))


def test_run_that_keeps_no_weights_is_evaluated_with_its_last_state(command, tmp_path, monkeypatch):
    more = ("--checkpoint.keep_best=0", "--trainer.max_epochs=1")
    assert main(command(tmp_path / "whole", *more)) == 0
    evaluate, killed = fit.evaluate_part, []

    def kill(*args, **kwargs):
        killed.append(True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fit, "evaluate_part", kill)
        assert main(command(tmp_path / "cut", *more)) == 130
    assert killed
    assert evaluate is fit.evaluate_part
    assert main(command(tmp_path / "cut", *more)) == 0
    predictions = [RunFolder(tmp_path / name).predictions("val").read_text() for name in ("whole", "cut")]
    assert predictions[0] == predictions[1]
