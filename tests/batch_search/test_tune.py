"""Searches for real: a tiny encoder under a limit of memory, in processes of their own."""

import multiprocessing
import os
import resource
import signal
import tempfile
import time

import pytest
import torch
from probes import spec_of

from redsm5.batch_search.child import PREFIX
from redsm5.batch_search.session import ProbeCrashed, ProbeSession
from redsm5.batch_search.settings import setting_of
from redsm5.batch_search.tune import Request, search
from redsm5.batch_search.units import Shape
from redsm5.children import fork_server
from redsm5.cli import build_cli
from redsm5.errors import UserError

PAIRS = ("--data.format=BinaryPairs", "--data.max_length=128")
LIMIT_GB = 0.8
"""The process alone takes 0.5 GB, and a window of a tiny encoder less than a MB."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """No probe leaves a file, however it ends."""
    fork_server()  # before: its socket outlives a test, and needs a short name
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert [path.name for path in folder.iterdir() if path.name.startswith(PREFIX)] == []


def request(encoder, *more, mode="predicted", shape=None, **changes):
    spec = spec_of(encoder, *PAIRS, *more, **{"max_length": 128, "memory_gb": LIMIT_GB, **changes})
    config = build_cli(list(spec.args), parse_only=True).config
    setting = setting_of(config, accumulates=spec.accumulates)
    return Request(spec, setting, shape or Shape(1, (1,), 128, by_tokens=False, most=4096), 16_384, mode)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_search_finds_what_fits_and_no_third_more_does(tiny_encoder, seed):
    wanted = request(tiny_encoder, f"--seed_everything={seed}")
    entry = search(wanted, lambda _: None)
    assert entry.windows > 50
    assert entry.peak_gb <= LIMIT_GB * 0.97
    assert entry.peak_gb >= LIMIT_GB * 0.85
    with ProbeSession(wanted.spec) as session:
        assert session.probe(entry.windows, entry.eval_windows).fits
        assert not session.probe(round(entry.windows * 1.3), 1).fits
        assert session.probe(1, 1).fits  # what failed costs the next one nothing


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["power", "binsearch"])
def test_search_in_lightnings_order_finds_no_more_and_no_less_than_a_half(tiny_encoder, mode):
    found = {m: search(request(tiny_encoder, mode=m), lambda _: None) for m in ("predicted", mode)}
    ratio = found[mode].windows / found["predicted"].windows
    assert 0.45 < ratio < 1.1
    assert found[mode].probes > found["predicted"].probes


def test_search_predicts_the_peak_and_says_what_each_probe_gave(tiny_encoder):
    said = []
    entry = search(request(tiny_encoder, accumulates=True), said.append)
    assert entry.accumulates
    assert (entry.device.name, entry.eval_windows) == ("CPU", 1)
    # Resident memory of a tiny model is no fine line: the allocator keeps what it has had.
    assert entry.predicted_gb == pytest.approx(entry.trained_gb, rel=0.25)
    assert len(said) == entry.probes
    assert said[0].startswith("1 windows in training, 1 in evaluation: fits, 0.")
    # The entry holds three decimals and a line two, each rounded from the bytes.
    together = f"{entry.windows} windows in training, 1 in evaluation: fits, "
    peaks = [float(line.removeprefix(together).removesuffix(" GB")) for line in said if line.startswith(together)]
    assert entry.peak_gb in [pytest.approx(peak, abs=0.006) for peak in peaks]


def test_search_says_what_is_needed_where_nothing_fits(tiny_encoder):
    entry = search(request(tiny_encoder, memory_gb=0.3), lambda _: None)
    assert (entry.windows, entry.eval_windows, entry.peak_gb) == (None, None, None)
    assert 0.3 < entry.needs_gb < 0.8


def test_search_counts_in_examples_of_many_windows(tiny_encoder):
    shape = Shape(train=8, evaluation=(20, 3, 1), max_length=128, by_tokens=False, most=10)
    entry = search(request(tiny_encoder, shape=shape), lambda _: None)
    assert (entry.unit, entry.windows, entry.eval_windows) == (8, 80, 24)


@pytest.mark.parametrize("revision", ["null", "main"])
def test_probe_of_an_encoder_of_the_catalog_needs_none_of_its_files(revision):
    name = "google-bert/bert-base-uncased"
    config = ("--model.peft=LoRA", f"--model.encoder.revision={revision}")
    with ProbeSession(spec_of(name, *config, max_length=32, memory_gb=2)) as session:
        assert session.probe(1, 1).fits


def test_probe_refuses_a_config_that_cannot_be_built(tiny_encoder):
    wrong = spec_of(tiny_encoder, "--model.encoder.id=no/such-encoder-here")
    with ProbeSession(wrong) as session, pytest.raises(UserError, match="no/such-encoder-here"):
        session.ready()


def _hold(spec, folder, ready):
    tempfile.tempdir = folder
    with ProbeSession(spec) as session:
        session.ready()
        ready.set()
        while True:
            session.probe(400, 1)


@pytest.mark.parametrize(
    "when",
    [pytest.param(0.0, marks=pytest.mark.slow), 0.3, pytest.param(2.0, marks=pytest.mark.slow), None],
    ids=["at once", "early", "later", "in a probe"],
)
def test_nothing_is_left_when_the_search_is_killed(tiny_encoder, own_folder, when):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(spec_of(tiny_encoder), str(own_folder), ready))
    process.start()
    if when is None:
        assert ready.wait(120)
        time.sleep(0.1)
    else:
        _wait_for(lambda: list(own_folder.iterdir()), 120)
        time.sleep(when)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    _wait_for(lambda: not [p for p in own_folder.iterdir() if p.name.startswith(PREFIX)], 60)


def test_process_that_is_killed_counts_as_one_that_did_not_fit(tiny_encoder):
    with ProbeSession(spec_of(tiny_encoder)) as session:
        session.ready()
        session._process.kill()
        with pytest.raises(ProbeCrashed, match="SIGKILL"):
            session.probe(1, 1)
        assert session.probe(1, 1).fits
        session._process.kill()
        reading = session.probe(2, 1)
        assert not reading.fits
        assert "SIGKILL" in reading.failure


def _wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_search_changes_nothing_in_the_process_that_asks(tiny_encoder):
    state, limits = torch.random.get_rng_state(), resource.getrlimit(resource.RLIMIT_DATA)
    search(request(tiny_encoder), lambda _: None)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert resource.getrlimit(resource.RLIMIT_DATA) == limits
