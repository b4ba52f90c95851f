import tempfile
from pathlib import Path

import pytest

from redsm5.batch_search.lightning_tuner import tuned
from redsm5.batch_search.search import TooLarge, Tried


def search(truth, mode, most):
    sizes = []

    def probe(size):
        sizes.append(size)
        return Tried(size, size <= truth)

    return tuned(probe, mode=mode, most=most), sizes


@pytest.mark.parametrize(
    ("truth", "most", "mode", "size"),
    [
        (1, 64, "power", 1), (1, 64, "binsearch", 1), (3, 64, "power", 2), (3, 64, "binsearch", 3),
        (37, 4096, "power", 32), (37, 4096, "binsearch", 37), (1000, 4096, "binsearch", 1000),
        # Lightning returns the limit without a test, or twice as much as it has tested.
        (100, 64, "power", 64), (100, 50, "binsearch", 50), (1000, 1, "power", 1),
    ],
)  # fmt: skip
def test_tuned_is_the_largest_that_was_tried_and_fits(truth, most, mode, size):
    found, sizes = search(truth, mode, most)
    assert (found.size, found.fits) == (size, True)
    assert size in sizes
    assert max(sizes) <= most
    assert len(sizes) == len(set(sizes))


@pytest.mark.parametrize("mode", ["power", "binsearch"])
def test_tuned_refuses_where_one_does_not_fit_and_never_tries_none(mode):
    with pytest.raises(TooLarge):
        search(0, mode, 64)


def test_tuned_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    search(5, "binsearch", 64)
    with pytest.raises(TooLarge):
        search(0, "power", 64)
    assert list(Path(tmp_path).iterdir()) == []
