import pytest
from hypothesis import given
from hypothesis import strategies as st

from redsm5.batch_search.search import CLOSE, Line, TooLarge, Tried, largest


class Machine:
    """A device on which peaks are a line, with a true limit that may lie below the one that is known."""

    def __init__(self, start: float, each: float, limit: float) -> None:
        self.start, self.each, self.limit = start, each, limit
        self.sizes: list[int] = []

    def probe(self, size: int) -> Tried:
        self.sizes.append(size)
        peak = self.start + self.each * size
        return Tried(size, peak <= self.limit, round(peak) if peak <= self.limit else None)


@given(start=st.integers(0, 10**9), each=st.integers(1, 10**8), room=st.floats(1, 3000), most=st.integers(1, 5000))
def test_largest_is_tried_fits_and_is_within_three_per_cent_of_the_truth(start, each, room, most):
    machine = Machine(start, each, limit=start + each * room)
    found = largest(machine.probe, limit=round(machine.limit), most=most)
    truth = min(int((machine.limit - start) // each), most)
    assert found.fits
    assert found.size in machine.sizes
    assert found.size <= truth
    assert truth - found.size <= max(1, CLOSE * truth)
    assert max(machine.sizes) <= most


@given(
    start=st.floats(0, 1e9),
    each=st.floats(1, 1e8),
    room=st.integers(1, 2000),
    hope=st.floats(0.7, 1.5),
    noise=st.lists(st.floats(0.8, 1.2), min_size=64, max_size=64),
)
def test_largest_ends_at_a_size_that_fits_where_the_line_misleads(start, each, room, hope, noise):
    """Fragments make a size fail below the limit, or the first readings are off."""
    machine = Machine(start, each, limit=start + each * room)

    def probe(size):
        tried = machine.probe(size)
        return Tried(size, tried.fits, tried.peak and round(tried.peak * noise[len(machine.sizes) % 64]))

    found = largest(probe, limit=round(machine.limit * hope), most=4096)
    assert 1 <= found.size <= room
    assert found.size in machine.sizes
    assert len(machine.sizes) < 40


@pytest.mark.parametrize(
    ("room", "most", "sizes"),
    [
        (100, 5000, [1, 8, 100]),
        (100, 64, [1, 8, 64]),
        (1000, 5000, [1, 8, 128, 1000]),  # two small probes do not carry further than sixteen times
        (1, 5000, [1, 8, 4, 2]),
        (1, 1, [1]),
        (8, 8, [1, 8]),
    ],
)
def test_largest_needs_few_probes_where_memory_is_a_line(room, most, sizes):
    machine = Machine(500.0, 10.0, limit=500 + 10 * room)
    largest(machine.probe, limit=round(machine.limit), most=most)
    assert machine.sizes == sizes


def test_largest_never_returns_what_it_has_not_tried():
    machine = Machine(0.0, 1.0, limit=10_000.0)
    found = largest(machine.probe, limit=10_000, most=300)
    assert found.size == 300
    assert machine.sizes[-1] == 300


def test_largest_refuses_where_one_does_not_fit():
    machine = Machine(100.0, 10.0, limit=50.0)
    with pytest.raises(TooLarge):
        largest(machine.probe, limit=50, most=8)


@pytest.mark.parametrize(
    ("small", "large", "limit", "size"),
    [((1, 110), (5, 150), 200, 10.0), ((2, 100), (4, 100), 200, float("inf")), ((1, 120), (3, 100), 200, float("inf"))],
)
def test_line_reaches_the_limit_where_it_crosses_it(small, large, limit, size):
    line = Line.through(Tried(small[0], True, small[1]), Tried(large[0], True, large[1]))
    assert line.largest(limit) == pytest.approx(size)
