import errno
import os

import pytest

from redsm5.checkpoints.space import MARGIN, disk_fails, full_disk, room, size_words
from redsm5.errors import UserError

GB = 10**9


@pytest.mark.parametrize(
    ("free", "need", "expected"),
    [
        (50 * GB, 1 * GB, "plenty"),
        (11 * GB, 1 * GB, "plenty"),  # a tenth is left
        (11 * GB, 1 * GB + 1, "scarce"),
        (5 * GB, 1 * GB, "scarce"),
        (GB + MARGIN, GB, "scarce"),
        (GB + MARGIN - 1, GB, "none"),
        (0, 0, "none"),
    ],
)
def test_room_of_a_disk_of_100_gb(free, need, expected):
    assert room(free, 100 * GB, need) == expected


def test_full_disk_names_use_need_the_largest_files_and_what_to_do(tmp_path):
    run = tmp_path / "runs" / "a"
    run.mkdir(parents=True)
    (run / "small").write_bytes(b"x")
    (run.parent / "large.bin").write_bytes(b"x" * 5000)
    said = str(full_disk(run, 3 * GB))
    assert "no room for a checkpoint of 3.0 GB" in said
    assert f"{run.parent / 'large.bin'} (5 kB), {run / 'small'} (1 B)" in said
    assert f"redsm5 clean {run.parent}" in said
    assert "--checkpoint.keep_last 0" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1_500_000, "2 MB"), (999_600, "1 MB"), (2.34e9, "2.3 GB")],
)
def test_size_words(size, words):
    assert size_words(size) == words


def raised(*errors):
    """The last of these, each raised from the one before."""
    try:
        raise errors[0]
    except Exception as first:
        found = first
    for error in errors[1:]:
        try:
            raise error from found
        except Exception as later:
            found = later
    return found


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (raised(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))), True),
        (raised(OSError(errno.EIO, os.strerror(errno.EIO))), True),
        (raised(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))), True),
        (raised(OSError(errno.ENOSPC, "x"), UserError("cannot write last.ckpt")), True),
        (raised(RuntimeError("I/O error: No space left on device (os error 28)")), True),
        (raised(OSError(errno.EACCES, os.strerror(errno.EACCES)), UserError("cannot write last.ckpt")), False),
        (raised(ValueError("space")), False),
    ],
)
def test_disk_that_fails_is_told_from_other_errors(error, full):
    assert disk_fails(error) is full
