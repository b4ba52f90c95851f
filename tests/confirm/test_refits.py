"""Refits one after another, whatever happens to some of them."""

import errno
import json
import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import fake_refit
import pytest
import yaml

from redsm5.confirm import refits as running
from redsm5.confirm.refit import BEGUN, RESULT, RefitTask, make_folder, read_refit
from redsm5.confirm.refits import run_refits
from redsm5.confirm.sameness import Of
from redsm5.errors import UserError
from redsm5.hpo.messages import Ended

OF = Of(form=1, redsm5="0", config_sha256="c", split_sha256="s")


@pytest.fixture(autouse=True)
def _faked(monkeypatch):
    monkeypatch.setattr(running, "serve", fake_refit.serve)


@pytest.fixture
def task(tmp_path):
    """A function that makes tasks whose training does as it is told."""

    def made(word, *, trial=0, fold=0):
        config = tmp_path / f"{trial}.yaml"
        config.write_text(word, encoding="utf-8")
        folder = tmp_path / "refits" / f"{trial}-{fold}"
        return RefitTask(trial, str(config), 1, fold, str(tmp_path / "split.csv"), str(folder), "val_f1_macro", OF)

    return made


def run(*tasks, told=None):
    tell = (lambda *_: None) if told is None else lambda refit, new: told.append((refit.trial, new))
    return run_refits(tasks, workers=1, gpus=(), tell=tell)


def tries(task):
    lines = Path(task.config).with_suffix(".tries").read_text(encoding="utf-8").splitlines()
    return [tuple(json.loads(line)[2:]) for line in lines]


def test_refit_out_of_memory_begins_again_with_half_the_batch(task):
    one, good = task("fits 4"), task("good", trial=1)
    found, after = run(one, good)
    assert tries(one) == [(16, 1), (8, 2), (4, 4)]
    assert (found.failed, found.value, found.halvings) == ("", 0.5, 2)
    assert (after.failed, after.halvings) == ("", 0)


@pytest.mark.parametrize(
    ("word", "said", "times", "goes_on"),
    [
        ("never fits", "it was out of memory, in a sentence", 7, False),  # 16, 8, 4, 2, 1; then the evaluation alone
        ("killed", "was killed (SIGKILL", 3, True),
        ("exits", "exit code 3", 1, True),
        ("refused", "it was refused, in a sentence", 1, False),
        ("crashed", "it was crashed, in a sentence", 1, True),
    ],
)
def test_refit_that_cannot_be_trained_has_failed_and_the_others_are_trained(
    task, monkeypatch, word, said, times, goes_on
):
    monkeypatch.setattr(running, "oom_kills", lambda: 0)
    bad, good = task(word), task("good", trial=1)
    told = []
    failed, trained = run(bad, good, told=told)
    assert said in failed.failed
    assert failed.value is None
    assert len(tries(bad)) == times
    assert not list(Path(bad.folder).glob("view-*.html"))
    assert (Path(bad.folder) / "checkpoints").exists() == goes_on  # the next call goes on from them
    assert (trained.failed, trained.value) == ("", 0.5)
    assert told == [(0, True), (1, True)]
    Path(bad.config).write_text("good", encoding="utf-8")  # the next call tries it again, and not the other
    told.clear()
    assert [one.failed for one in run(bad, good, told=told)] == ["", ""]
    assert told == [(1, False), (0, True)]
    assert len(tries(good)) == 1


def test_refit_that_the_kernel_killed_for_want_of_memory_is_halved(task, monkeypatch):
    count = iter(range(100))
    monkeypatch.setattr(running, "oom_kills", lambda: next(count))
    one = task("killed once")
    [found] = run(one)
    assert tries(one)[:2] == [(16, 1), (8, 2)]
    assert found.halvings == len(tries(one)) - 1


def test_refit_whose_pretraining_is_out_of_memory_begins_again_with_half_of_that(task):
    one = task("pretraining: {use_tapt: true, batch_tokens: 1024, max_length: 256}")
    Path(one.folder).mkdir(parents=True)
    ended = Ended("out of memory in pretraining", "out of memory")
    again = running._again(one, ended, {})
    assert again.batches == ("--pretraining.batch_tokens=512", "--pretraining.accumulate=2")
    make_folder(again)
    config = {"data": {"batching": {"init_args": {"train": 4}}}, "trainer": {"accumulate_grad_batches": 1}}
    (Path(one.folder) / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with ExitStack() as until:  # the next call: its run is of an encoder that was pretrained so
        gone_on = running._started(one, None, until).task
    assert gone_on.batches[:2] == again.batches
    assert (again.halvings, gone_on.halvings) == (1, 1)
    again = running._again(gone_on, ended, {})
    assert again.batches[-2:] == ("--pretraining.batch_tokens=256", "--pretraining.accumulate=4")
    Path(one.folder).mkdir()
    assert running._again(again, ended, {}) is None


def test_refit_that_is_killed_once_goes_on(task, monkeypatch):
    monkeypatch.setattr(running, "oom_kills", lambda: 0)
    one = task("killed once")
    [found] = run(one)
    assert tries(one) == [(16, 1), (16, 1)]
    assert (found.failed, found.halvings) == ("", 0)


def test_refit_that_diverged_is_not_tried_again(task):
    one = task("diverged")
    assert [refit.failed for refit in run(one)] == [refit.failed for refit in run(one)] == ["no numbers"]
    assert len(tries(one)) == 1


def test_full_disk_stops_all_with_a_sentence(task):
    with pytest.raises(UserError, match="trial 0, seed 1, fold 0: it was machine, in a sentence; the same command"):
        run(task("machine"), task("good", trial=1))


@pytest.mark.parametrize("place", ["make_folder", "clean_up", "shutil.rmtree"])
def test_disk_that_does_not_work_under_the_command_stops_all_with_a_sentence(task, monkeypatch, place):
    def fails(*args, **more):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(f"redsm5.confirm.refits.{place}", fails)
    one = task("fits 4" if place == "shutil.rmtree" else "crashed")
    with pytest.raises(UserError, match="0-0 cannot be written: No space left on device; make room"):
        run(one)


@pytest.mark.parametrize(
    ("field", "other"), [("form", 2), ("redsm5", "another"), ("config_sha256", "another"), ("split_sha256", "another")]
)
def test_refit_of_something_else_is_trained_again(task, field, other):
    one = task("good")
    run(one)
    (Path(one.folder) / "predictions-test.jsonl").touch()
    other = replace(one, of=OF.model_copy(update={field: other}))
    run(other)
    assert len(tries(one)) == 2
    assert {path.name for path in Path(one.folder).iterdir()} == {BEGUN, RESULT, "config.yaml"}
    run(other)
    assert len(tries(one)) == 2


def test_unfinished_refit_of_something_else_is_not_gone_on_with(task, tmp_path):
    one = task("good")
    run(one)
    folder = tmp_path / "refits" / "0-0"
    (folder / RESULT).unlink()  # as if it had been killed
    (folder / "checkpoints").mkdir()
    run(replace(one, of=OF.model_copy(update={"split_sha256": "another"})))
    assert not (folder / "checkpoints").exists()


def test_unfinished_refit_goes_on_with_the_batches_that_it_was_begun_with(task, tmp_path):
    one = task("fits 4")
    run(one)
    (tmp_path / "refits" / "0-0" / RESULT).unlink()
    [found] = run(one)
    assert tries(one)[3:] == [(4, 4)]
    assert found.halvings == 2


@pytest.mark.parametrize("text", ["{", "{}", '{"trial": 0, "seed": 1, "fold": 0}'])
def test_result_that_cannot_be_read_is_none(task, tmp_path, text):
    one = task("good")
    run(one)
    (tmp_path / "refits" / "0-0" / RESULT).write_text(text)
    assert read_refit(one) is None


def test_kill_between_result_and_removal_is_made_good(task, tmp_path):
    one = task("good")
    run(one)
    folder = tmp_path / "refits" / "0-0"
    (folder / "checkpoints").mkdir()
    (folder / "view-test.html").write_text("a post")
    run(one)
    assert {path.name for path in folder.iterdir()} == {BEGUN, RESULT, "config.yaml"}
