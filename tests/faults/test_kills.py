"""kill -9 and power cuts, anywhere: the same command goes on, and the run ends as if nothing had happened."""

import random
import shutil

import pytest
from fault_child import POINTS
from power_cut import lose_unflushed
from run_outcomes import assert_equal, outcome

from redsm5.run.folder import RunFolder

CHAINS = {
    "steps": [("training", 1, "before"), ("training", 3, "before"), ("training", 4, "after"), ("training", 9, "after")],
    "validation": [("validation", 1, "before"), ("validation", 3, "after"), ("metrics", 1, "before")],
    "metrics": [("metrics", 1, "after"), ("metrics", 2, "after"), ("evaluation", 1, "before")],
    "save": [("writing tensors", 1, "half"), ("writing tensors", 4, "half"), ("flushing", 3, "before")],
    "rename": [
        ("naming a checkpoint", 1, "before"), ("naming a checkpoint", 2, "after"), ("flushing", 6, "before"),
        ("naming a checkpoint", 5, "before"),
    ],
    "prune": [
        ("removing a checkpoint", 1, "before"), ("removing its files", 1, "before"), ("removing its files", 3, "after"),
    ],
    "resume": [
        ("training", 4, "before"), ("going on", 1, "before"), ("going on", 1, "after"), ("sweeping", 1, "after"),
    ],
    "end": [("evaluation", 1, "before"), ("replacing a file", 4, "before"), ("replacing a file", 5, "after")],
}  # fmt: skip
"""Kills in a row, each of the run that goes on from the one before."""


def assert_ends_as(whole, run):
    """The run came to the same, and holds nothing that it should not."""
    assert_equal(outcome(run), whole)
    folder = RunFolder(run)
    assert not folder.kept.leftovers()
    assert not folder.kept.damaged()
    assert len(folder.kept.entries("resume")) == 2
    assert 1 <= len(folder.kept.entries("weights")) <= 2


@pytest.mark.parametrize("chain", CHAINS)
def test_killed_run_ends_as_the_uninterrupted_one(call, command, whole, tmp_path, chain):
    args = command(tmp_path / "run")
    for fault in CHAINS[chain]:
        assert call(args, fault=fault) == -9, f"{fault} was never reached: {(tmp_path / 'log').read_text()[-2000:]}"
    assert call(args) == 0, (tmp_path / "log").read_text()[-3000:]
    assert_ends_as(whole[0], tmp_path / "run")
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_run_killed_after_its_last_checkpoint_is_pruned_by_the_next_command(call, command, whole, tmp_path):
    kept = RunFolder(tmp_path / "run").kept
    for naming in range(10, 40):  # how many come before depends on which epochs were the best
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        args = command(tmp_path / "run")
        assert call(args, fault=("naming a checkpoint", naming, "after")) == -9, "the last checkpoint was never met"
        entries = kept.entries("resume")
        if len(entries) == 3 and entries[-1].manifest.epoch == 2 and entries[-1].manifest.value is not None:
            break
    assert call(args) == 0, (tmp_path / "log").read_text()[-3000:]
    assert_ends_as(whole[0], tmp_path / "run")


def test_kills_of_the_suite_are_twenty_five_at_least():
    assert sum(map(len, CHAINS.values())) >= 25
    assert {fault[0] for chain in CHAINS.values() for fault in chain} >= POINTS.keys() - {"flushing a file"}


@pytest.mark.parametrize(
    "fault",
    [
        ("training", 4, "before"), ("writing tensors", 3, "half"), ("naming a checkpoint", 3, "before"),
        ("naming a checkpoint", 4, "after"), ("removing its files", 2, "before"), ("metrics", 1, "after"),
        ("flushing a file", 1, "before"), ("replacing a file", 4, "after"),
    ],
)  # fmt: skip
def test_power_cut_loses_nothing_that_was_said_to_be_saved(call, command, whole, tmp_path, fault):
    args, journal = command(tmp_path / "root" / "run"), tmp_path / "journal"
    assert call(args, fault=fault, journal=journal) == -9
    lose_unflushed(tmp_path / "root", journal)
    assert call(args) == 0, (tmp_path / "log").read_text()[-3000:]
    assert_ends_as(whole[0], tmp_path / "root" / "run")


def random_kills(call, args, draw, seconds, kills):
    """Kill at moments drawn from the length of a run; returns how many hit before its end."""
    hits = 0
    for _ in range(kills):
        code = call(args, kill_after=draw.uniform(0, seconds))
        assert code in (-9, 0, 2)
        hits += code == -9
        if code == 0:
            break
    return hits


@pytest.mark.parametrize("seed", range(3))
def test_run_killed_at_random_ends_as_the_uninterrupted_one(call, command, whole, tmp_path, seed):
    args = command(tmp_path / "run")
    random_kills(call, args, random.Random(seed), whole[1], 3)
    assert call(args) in (0, 2)  # 2: it had come to its end
    assert_ends_as(whole[0], tmp_path / "run")


@pytest.mark.slow
def test_five_hundred_kills_at_random(call, command, whole, tmp_path):
    draw, hits, runs = random.Random(0), 0, 0
    while hits < 500:
        run = tmp_path / f"run-{runs}"
        args = command(run)
        hits += random_kills(call, args, draw, whole[1], 5)
        assert call(args) in (0, 2), (tmp_path / "log").read_text()[-3000:]
        assert_ends_as(whole[0], run)
        runs += 1
    print(f"{hits} kills of {runs} runs, every run as the uninterrupted one")
