"""Pretraining: kill -9 and Ctrl-C anywhere, and two processes that want the same stage."""

import json
import os
import signal
import time

import pytest
from pretrain_runs import pretrain_options

from redsm5.metrics_csv import read_rows

CHAINS = {
    "steps": [("storing tokens", 1, "after"), ("masked training", 2, "before"), ("masked training", 3, "after")],
    "epochs": [("masked training", 7, "before"), ("writing an encoder", 1, "after"), ("masked validation", 1, "after")],
    "encoder": [
        ("naming an encoder", 1, "before"),
        ("writing tensors", 2, "half"),
        ("writing an encoder", 2, "before"),
    ],
}
"""Kills in a row, each of the run that goes on from the one before; a fault that is not reached any more kills none."""


@pytest.fixture(scope="module")
def options(tiny_corpus_dir, tiny_encoder):
    def made(cache):
        more = ("--pretraining.tapt_epochs=2", "--pretraining.batch_tokens=512", "--checkpoint.every_minutes=0")
        return pretrain_options(tiny_corpus_dir, tiny_encoder, cache, *more)

    return made


@pytest.fixture(scope="module")
def whole(forks, options, tmp_path_factory):
    """What the stages come to that were never interrupted."""
    from fault_child import run

    cache = tmp_path_factory.mktemp("whole")
    child = forks.Process(target=run, args=(options(cache), cache / "log"))
    child.start()
    child.join()
    assert child.exitcode == 0, (cache / "log").read_text()
    return outcome(cache)


def outcome(cache):
    """Weights, curves and rows of every stage; no times."""
    found = {}
    for record in sorted((cache / "pretraining").glob("*/epoch-*/pretraining.json")):
        stage = record.parent
        facts = json.loads(record.read_text())
        rows = [row for row in read_rows(stage.parent / "metrics.csv") if row.name != "seconds"]
        found[f"{stage.parent.name}/{stage.name}"] = (
            *((stage / name).read_bytes() for name in ("model.safetensors", "mlm_head.safetensors")),
            facts["curve"],
            rows,
        )
    return found


@pytest.mark.parametrize(
    "chain", [pytest.param(name, marks=() if name == "epochs" else pytest.mark.slow) for name in CHAINS]
)
def test_killed_stage_ends_as_the_uninterrupted_one(call, options, whole, tmp_path, chain):
    killed = 0
    for fault in CHAINS[chain]:
        code = call(options(tmp_path), fault=fault)
        assert code in (0, -9), (tmp_path / "log").read_text()[-3000:]
        killed += code == -9
    assert killed >= 2, "hardly a fault was reached"
    assert call(options(tmp_path)) == 0, (tmp_path / "log").read_text()[-3000:]
    assert outcome(tmp_path) == whole
    assert not list((tmp_path / "pretraining").glob("*/.epoch-*"))
    assert not list((tmp_path / "pretraining").glob("*/checkpoints/.*"))


def test_stopped_stage_says_so_and_goes_on(start, call, options, whole, tmp_path):
    child = start(options(tmp_path))
    log, deadline = tmp_path / "log", time.monotonic() + 60
    while not list((tmp_path / "pretraining").glob("*/checkpoints/last-*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGINT)
    child.join(60)
    assert child.exitcode == 130, log.read_text()
    assert "the same command goes on from there" in log.read_text()
    assert call(options(tmp_path)) == 0
    assert "going on from" in log.read_text()
    assert outcome(tmp_path) == whole


def test_two_processes_make_a_stage_once(start, options, whole, tmp_path):
    children = [start(options(tmp_path)) for _ in range(2)]
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0, 0], (tmp_path / "log").read_text()
    assert outcome(tmp_path) == whole
    [log] = (tmp_path / "pretraining").glob("tapt-*/run.jsonl")
    events = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    assert events.count("training started") == 1
    assert "training resumed" not in events
