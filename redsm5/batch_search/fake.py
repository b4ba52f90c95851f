"""The peak memory of a training on a GPU that is not here: counted, not measured."""

from __future__ import annotations

from typing import Literal

from redsm5.batch_search.encoder_bytes import encoder_bytes
from redsm5.batch_search.fake_heads import head_bytes
from redsm5.batch_search.peaks import Peaks
from redsm5.modules.module import MultiTaskModule
from redsm5.modules.network import TOKENS_PER_FORWARD


class FakeProbe:
    """Counts the bytes of two optimizer steps and a validation batch.

    Encoder and optimizer run under ``FakeTensorMode``: shapes, types and lifetimes of all tensors, no values, no time.
    Heads and losses, whose shapes depend on values, are counted on a few real windows and laid on top as a line.

    Args:
        model: The module; its encoder has random weights, and is not built.
        n_outputs: K, outputs per example.
        max_length: Tokens of a window.
        precision: ``runtime.precision``.
        accumulates: Whether gradients of one batch are there while the next one passes.
    """

    def __init__(
        self,
        model: MultiTaskModule,
        *,
        n_outputs: int,
        max_length: int,
        precision: Literal["none", "bf16", "fp16"],
        accumulates: bool,
    ) -> None:
        half = precision != "none"
        self._chunk = max(1, TOKENS_PER_FORWARD // max_length)
        self._encoder = encoder = encoder_bytes(model, length=max_length, half=half, accumulates=accumulates)
        self._times = 1 if model.attack is None else 2
        self._training, self._evaluation = (
            head_bytes(
                model, encoder.config, hidden=encoder.hidden, n_outputs=n_outputs, length=max_length,
                half=half, training=training, dtype=encoder.states_dtype,
            )
            for training in (True, False)
        )  # fmt: skip

    def __call__(self, windows: int, eval_windows: int) -> Peaks:
        """Count batches of so many windows of ``max_length`` tokens."""
        encoder = self._encoder
        training = encoder.train(windows)
        passes = max(training.peak, training.between + self._training.of(windows) * self._times)
        chunk = min(eval_windows, self._chunk)
        states = encoder.states * eval_windows
        # The states of all windows beside the last chunk; then, chunks joined by a copy, with heads on top.
        joined = states * (2 if eval_windows > chunk else 1) + self._evaluation.of(eval_windows)
        evaluation = max(encoder.evaluate(chunk) + states - encoder.states * chunk, encoder.resting + joined)
        return Peaks(passes, encoder.step, evaluation)
