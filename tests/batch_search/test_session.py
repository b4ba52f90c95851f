"""What a death, or silence, of the process of the probes means; the process is a stand-in."""

import signal

import pytest

from redsm5.batch_search import session
from redsm5.batch_search.child import Ready
from redsm5.batch_search.session import ProbeCrashed, ProbeSession


class Limited:
    limited = True


def session_with(*, device, has_fitted=True):
    made = ProbeSession(Limited())
    made._ready, made._has_fitted = Ready(device, 8, 8), has_fitted
    return made


@pytest.mark.parametrize(
    ("device", "code", "is_want"),
    [
        ("CPU", -signal.SIGKILL, True),
        ("CPU", -signal.SIGABRT, True),  # std::bad_alloc under a limit
        ("CPU", -signal.SIGSEGV, True),
        ("CPU", 1, False),
        ("RTX", -signal.SIGKILL, True),
        ("RTX", -signal.SIGSEGV, False),  # a kernel is broken, whatever the size
        ("RTX", 1, False),
    ],
)
def test_a_death_is_want_of_memory_only_where_it_may_be(device, code, is_want):
    assert session_with(device=device)._is_want_of_memory(code) == is_want


class Silent:
    def poll(self, seconds):
        return False

    def close(self):
        pass


def test_silence_is_a_crash(monkeypatch):
    made = session_with(device="CPU")
    made._pipe = Silent()
    with pytest.raises(ProbeCrashed, match="has not answered for 20 minutes"):
        made._receive(session.LEAST_PATIENCE)
    assert made._pipe is None
