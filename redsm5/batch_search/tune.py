"""The search for one config: probes in a child process, what came of them as an entry."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from redsm5.batch_search.calibration import Device, Entry
from redsm5.batch_search.child import ProbeSpec
from redsm5.batch_search.lightning_tuner import tuned
from redsm5.batch_search.limits import GB
from redsm5.batch_search.peaks import Reading
from redsm5.batch_search.search import Line, TooLarge, Tried, largest
from redsm5.batch_search.session import ProbeCrashed, ProbeSession
from redsm5.batch_search.settings import Setting
from redsm5.batch_search.units import Shape

if TYPE_CHECKING:
    from redsm5.batch_search.fake_session import FakeSession

Mode = Literal["predicted", "power", "binsearch", "fake"]
"""How the sizes to try are chosen, or that they are counted on fake tensors."""
Tell = Callable[[str], None]

SECOND = 8
"""Windows of the second training probe, about."""


@dataclass(frozen=True)
class Request:
    """What is searched.

    Attributes:
        spec: What is probed.
        setting: The same, as an entry has it.
        shape: Of its examples.
        tokens_per_forward: Of evaluation.
        mode: How.
    """

    spec: ProbeSpec
    setting: Setting
    shape: Shape
    tokens_per_forward: int
    mode: Mode


def search(request: Request, tell: Tell) -> Entry:
    """Find the largest training and evaluation batch, in windows; both have been tried, together too.

    Args:
        request: What is searched.
        tell: Is told what is tried, in a few words.

    Raises:
        UserError: The config is not usable.
        ProbeCrashed: The process of the probes dies without a limit too.
    """
    started = time.monotonic()
    with _session(request, request.spec) as session:
        ready = session.ready()
        run = _Search(request, session, tell)
        training: Tried | None
        evaluation: Tried | None
        try:
            training, evaluation = run.both(ready.limit)
        except (TooLarge, ProbeCrashed):  # where even one is too large, libraries may die of it
            training = evaluation = None
    needs = None if training else _needs(request)
    return Entry(
        **asdict(request.setting),
        device=Device.here(ready.device, round(ready.total / GB, 3), request.spec.margin),
        method=request.mode,
        unit=request.shape.train,
        windows=training.size * request.shape.train if training else None,
        eval_windows=evaluation.size if evaluation else None,
        peak_gb=_gb(run.together) if training else None,
        trained_gb=_gb(run.peak_of_training(training.size)) if training else None,
        predicted_gb=_gb(run.predicted(training.size)) if training else None,
        needs_gb=_gb(needs),
        probes=max(len(run.readings), 1),
        seconds=round(time.monotonic() - started, 2),
    )


def _session(request: Request, spec: ProbeSpec) -> ProbeSession | FakeSession:
    if request.mode != "fake":
        return ProbeSession(spec)
    from redsm5.batch_search.fake_session import FakeSession

    return FakeSession(spec)


class _Search:
    """Both searches of a config in one session."""

    def __init__(self, request: Request, session: ProbeSession | FakeSession, tell: Tell) -> None:
        self.request = request
        self.readings: list[Reading] = []
        self.together: int | None = None
        """Peak of the last training batch and evaluation batch that fitted in one probe"""
        self._session = session
        self._tell = tell

    def both(self, limit: int) -> tuple[Tried, Tried]:
        """Training batch and evaluation batch, in windows."""
        shape = self.request.shape
        training = self._find(self._training, limit, shape.most)
        most = shape.most_eval_windows(self.request.tokens_per_forward)
        # In a fit, an evaluation meets what the training has left in the allocator, and the other way round.
        evaluation = self._evaluation(most, beside=training.size)
        if not evaluation.fits:
            evaluation = self._find(self._evaluation, limit, most)
            while not self._evaluation(evaluation.size, beside=training.size).fits:
                if training.size == 1:
                    raise TooLarge
                training = self._training(training.size * 19 // 20)
        return training, evaluation

    def _find(self, probe: Callable[[int], Tried], limit: int, most: int) -> Tried:
        mode = self.request.mode
        if mode in ("power", "binsearch"):
            return tuned(probe, mode=mode, most=most)
        return largest(probe, limit=limit, most=most, second=max(2, SECOND // self.request.shape.train))

    def peak_of_training(self, examples: int) -> int | None:
        """Bytes that a training batch of so many examples was seen to take, its step included."""
        windows = examples * self.request.shape.train
        seen = [r.peaks.training for r in self.readings if r.windows == windows and r.fits and r.peaks is not None]
        return max(seen, default=None)

    def predicted(self, examples: int) -> int | None:
        """The same by probes of at most half the size: the line through the two largest, or the step where it is more.

        None before there are two.
        """
        windows = examples * self.request.shape.train
        small = {r.windows: r.peaks for r in self.readings if r.peaks is not None and 2 * r.windows <= windows}
        if len(small) < 2:
            return None
        (size, peaks), (larger_size, larger) = sorted(small.items())[-2:]
        line = Line.through(Tried(size, True, peaks.passes), Tried(larger_size, True, larger.passes))
        return max(round(line.start + line.each * windows), *(one.step for one in small.values()))

    def _training(self, examples: int) -> Tried:
        """A training batch of so many of the largest examples."""
        reading = self._read(examples * self.request.shape.train, 1)
        return Tried(examples, reading.fits, reading.peaks.passes if reading.peaks else None)

    def _evaluation(self, windows: int, *, beside: int = 1) -> Tried:
        """An evaluation batch of so many windows, after a training batch of so many examples."""
        reading = self._read(beside * self.request.shape.train, windows)
        if reading.peaks is not None:
            self.together = reading.peaks.largest
        return Tried(windows, reading.fits, reading.peaks.evaluation if reading.peaks else None)

    def _read(self, windows: int, eval_windows: int) -> Reading:
        reading = self._session.probe(windows, eval_windows)
        self.readings.append(reading)
        self._tell(self._said(reading))
        return reading

    def _said(self, reading: Reading) -> str:
        unit = self.request.shape.train
        examples = f" ({reading.windows // unit} examples)" if unit > 1 else ""
        what = f"{reading.windows} windows in training{examples}, {reading.eval_windows} in evaluation"
        if reading.peaks is None:
            return f"{what}: too much"
        return f"{what}: {'fits' if reading.fits else 'too much'}, {reading.peaks.largest / GB:.2f} GB"


def _needs(request: Request) -> int | None:
    """What one example needs, within all that the device has; None where that is not enough either."""
    fake = request.mode == "fake"
    spec = replace(request.spec, limited=False) if fake else replace(request.spec, memory_gb=None)
    try:
        with _session(request, spec) as session:
            reading = session.probe(request.shape.train, 1)
    except ProbeCrashed:
        return None
    return None if reading.peaks is None else reading.peaks.largest


def _gb(size: int | None) -> float | None:
    return None if size is None else round(size / GB, 3)
