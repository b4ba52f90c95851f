import json
import multiprocessing

import pytest

from redsm5.batch_search.calibration import Calibration, Device, Entry, add_entry, default_file, read_calibration
from redsm5.errors import UserError


def entry(encoder="a/b", *, memory_gb=24.0, margin=0.05, method="predicted", windows=40, name="RTX", **changes):
    values = {
        "encoder": encoder, "max_length": 512, "precision": "bf16", "checkpointing": False, "peft": "LoRA",
        "accumulates": True, "rest": "0" * 16, "device": Device.here(name, memory_gb, margin), "method": method,
        "unit": 1, "windows": windows, "eval_windows": windows and 128, "peak_gb": 22.0, "predicted_gb": 21.9,
        "needs_gb": None, "probes": 3, "seconds": 2.5,
    }  # fmt: skip
    return Entry(**{**values, **changes})


@pytest.fixture
def file(tmp_path):
    return tmp_path / "folder" / "calibration.json"


def test_entries_are_added_and_replaced_where_they_are_of_the_same_setting_device_and_kind(file):
    first, again = entry(), entry(windows=41, method="binsearch")
    others = [entry("c/d"), entry(memory_gb=16.0), entry(method="fake"), entry(max_length=256)]
    for one in (first, *others, again):
        add_entry(file, one)
    assert list(read_calibration(file).entries) == [*others, again]
    assert json.loads(file.read_text())["schema_version"] == 1


@pytest.mark.parametrize(
    ("known", "memory_gb", "usable"),
    [
        ({}, 24.0, True),
        ({}, 80.0, True),  # found with less memory: it fits
        ({}, 16.0, False),
        ({"margin": 0.1}, 24.0, True),
        ({"margin": 0.01}, 24.0, False),  # the allocator was held to more
        ({"name": "another card"}, 24.0, False),
        ({"method": "fake"}, 24.0, False),  # counted, not tried
        ({"windows": None}, 24.0, False),
        ({"rest": "1" * 16}, 24.0, False),
        ({"precision": "none"}, 24.0, False),
    ],
)
def test_usable_is_what_holds_on_a_device(known, memory_gb, usable):
    found = Calibration(entries=(entry(**known),)).usable(entry().setting, "RTX", memory_gb, 0.05)
    assert (found is not None) == usable


@pytest.mark.parametrize(("memory_gb", "usable"), [(24.0, True), (23.2, True), (22.0, False)])
def test_usable_on_a_cpu_is_what_the_process_has_room_for(memory_gb, usable):
    known = Calibration(entries=(entry(name="CPU", peak_gb=22.0),))
    assert (known.usable(entry().setting, "CPU", memory_gb, 0.05) is not None) == usable


def test_usable_needs_the_same_versions():
    old = entry()
    old = old.model_copy(update={"device": old.device.model_copy(update={"torch": "1.0"})})
    assert Calibration(entries=(old,)).usable(old.setting, "RTX", 24.0, 0.05) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 2}', '{"entries": [{"encoder": "x"}]}', "\x00"])
def test_damaged_file_is_refused_and_stays(file, text):
    file.parent.mkdir()
    file.write_text(text)
    for attempt in (lambda: read_calibration(file), lambda: add_entry(file, entry())):
        with pytest.raises(UserError, match="delete it"):
            attempt()
    assert file.read_text() == text


def test_missing_file_is_empty(file):
    assert read_calibration(file) == Calibration()


def test_file_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        add_entry(tmp_path / "file" / "calibration.json", entry())


def _add(file, number):
    for n in range(10):
        add_entry(file, entry(f"writer-{number}/{n}"))


def test_writers_at_once_lose_nothing(file):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add, args=(file, number)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read_calibration(file).entries) == 30


def test_default_file_is_in_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("REDSM5_CACHE", str(tmp_path))
    assert default_file() == tmp_path / "calibration.json"
