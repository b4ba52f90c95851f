import time

from storm_log import StormLog


def test_attempts_that_overlap_are_told(tmp_path):
    log = StormLog(tmp_path / "storm.log")
    for slot in (0, 1):
        log.begins(slot, 1)
        log.told(slot, 1, time.monotonic())
        log.begins(slot, 3)
    log.told(0, 3, time.monotonic())
    assert log.faults() == []
    log.told(1, 1, time.monotonic())
    assert log.faults() == ["slot 1 ran twice at once, with the tokens 1 and 3"]
