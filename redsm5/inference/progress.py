"""How far a prediction is: a bar on a terminal, plain lines elsewhere, on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

SECONDS_BETWEEN_LINES = 30.0


class PredictionProgress:
    """Counts posts; how many there are is not known before the last one is read."""

    def __init__(self) -> None:
        self.posts = 0
        self.reused = 0
        self._started = self._last_line = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} posts"), TextColumn("{task.fields[rate]}"))
            self._bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("predict", total=None, rate="")

    def __enter__(self) -> PredictionProgress:
        """Show the bar."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, posts: int, reused: bool) -> None:
        """Count a chunk.

        Args:
            posts: Its posts.
            reused: Whether an earlier run had predicted them.
        """
        self.posts += posts
        self.reused += posts if reused else 0
        now = time.monotonic()
        rate = f"{(self.posts - self.reused) / max(now - self._started, 1e-9):.1f} posts/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=self.posts, rate=rate)
        elif now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            print(f"{self.posts:,} posts, {rate}", file=sys.stderr, flush=True)
