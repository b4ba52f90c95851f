import signal

import pytest

from redsm5.callbacks.stop_signals import StopSignals


def test_two_signals_that_say_the_same_are_one_and_the_same_again_ends_at_once():
    """Slurm tells all processes of a job, and a worker its trial."""
    signals = StopSignals()
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signals._note(number, None)
        assert signals.received == signal.SIGTERM
    with pytest.raises(KeyboardInterrupt):
        signals._note(signal.SIGUSR1, None)
