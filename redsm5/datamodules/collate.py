"""Examples to a ``Batch``: token ids are joined with their frame and padded to the longest window at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from redsm5.datamodules.batch import Batch
from redsm5.datamodules.formats import Example
from redsm5.datamodules.frames import Layout
from redsm5.datamodules.windows import inside

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class EncodedExample:
    """An example as arrays, before it is padded.

    Attributes:
        example: Post and criterion.
        windows: int64 [n, 2], first token and end of each window; all of one length, as ``window_slices`` makes them.
        ids: int32 [t], tokens of the whole post.
        offsets: int32 [t, 2], their character offsets.
        labels: float32 [K].
        unknown: bool [K], outputs whose evidence is not known.
        evidence: int64 [s, 3], rows (output, first token, last token inclusive), tokens of the post.
        hard_negatives: int64 [h, 3], likewise.
        sentences: int64 [s, 2], first and last token (inclusive) of each sentence; None where they are not asked for.
    """

    example: Example
    windows: IntArray
    ids: NDArray[np.int32]
    offsets: NDArray[np.int32]
    labels: NDArray[np.float32]
    unknown: NDArray[np.bool_]
    evidence: IntArray
    hard_negatives: IntArray
    sentences: IntArray | None = None


def collate(examples: Sequence[EncodedExample], layout: Layout) -> Batch:
    """Whole examples as one batch.

    A (window, output) pair is masked in ``evidence_mask`` where evidence of the output is cut by the window, even if
    the window holds another sentence of evidence whole: half a sentence is neither evidence nor its absence; its tokens
    are in ``cut_spans``. ``spans`` and ``hard_negatives`` list what lies whole in a window whether or not the pair is
    masked.

    Args:
        examples: At least one.
        layout: How windows are laid out.
    """
    n_windows = sum(len(example.windows) for example in examples)
    frames = [layout.frame(example.example.criterion) for example in examples]
    longest = max(
        len(frame) + int((example.windows[:, 1] - example.windows[:, 0]).max())
        for example, frame in zip(examples, frames, strict=True)
    )
    input_ids = np.full((n_windows, longest), layout.pad_id, dtype=np.int64)
    types = np.zeros((n_windows, longest), dtype=np.int64)
    attention = np.zeros((n_windows, longest), dtype=np.int64)
    context = np.zeros((n_windows, longest), dtype=bool)
    offsets = np.zeros((n_windows, longest, 2), dtype=np.int32)
    evidence_mask = np.zeros((n_windows, layout.n_outputs), dtype=bool)
    unknown = np.zeros((n_windows, layout.n_outputs), dtype=bool)
    spans: list[IntArray] = []
    cut_spans: list[IntArray] = []
    hard_negatives: list[IntArray] = []
    sentences: list[IntArray] = []

    row = 0
    for example, frame in zip(examples, frames, strict=True):
        windows = example.windows
        begin, rows = len(frame.before), slice(row, row + len(windows))
        whole, cut = inside(example.evidence[:, 1:], windows)
        spans.append(_rows(example.evidence, whole, windows, row, begin))
        cut_spans.append(_rows(example.evidence, cut, windows, row, begin))
        denied, _ = inside(example.hard_negatives[:, 1:], windows)
        hard_negatives.append(_rows(example.hard_negatives, denied, windows, row, begin))
        if example.sentences is not None:
            sentences.append(_sentence_rows(example.sentences, windows, row, begin))
        tokens = windows[:, :1] + np.arange(windows[0, 1] - windows[0, 0])
        stop = begin + tokens.shape[1]
        total = stop + len(frame.after)
        input_ids[rows, :begin], types[rows, :begin] = frame.before, frame.before_types
        input_ids[rows, begin:stop], types[rows, begin:stop] = example.ids[tokens], frame.post_type
        input_ids[rows, stop:total], types[rows, stop:total] = frame.after, frame.after_types
        attention[rows, :total] = 1
        context[rows, begin:stop] = True
        offsets[rows, begin:stop] = example.offsets[tokens]
        unknown[rows] = example.unknown
        evidence_mask[rows] = ~example.unknown
        evidence_mask[cut_spans[-1][:, 0], cut_spans[-1][:, 1]] = False
        row += len(windows)

    counts = [len(example.windows) for example in examples]
    return Batch(
        input_ids=torch.from_numpy(input_ids),
        attention_mask=torch.from_numpy(attention),
        token_type_ids=torch.from_numpy(types) if layout.typed else None,
        context_mask=torch.from_numpy(context),
        offsets=torch.from_numpy(offsets),
        window_example=torch.from_numpy(np.repeat(np.arange(len(examples), dtype=np.int64), counts)),
        labels=torch.from_numpy(np.stack([example.labels for example in examples])),
        evidence_mask=torch.from_numpy(evidence_mask),
        unknown=torch.from_numpy(unknown),
        spans=torch.from_numpy(np.concatenate(spans)),
        cut_spans=torch.from_numpy(np.concatenate(cut_spans)),
        hard_negatives=torch.from_numpy(np.concatenate(hard_negatives)),
        criterion=torch.tensor([example.example.criterion for example in examples], dtype=torch.int64),
        post_index=torch.tensor([example.example.post for example in examples], dtype=torch.int64),
        sentences=torch.from_numpy(np.concatenate(sentences)) if sentences else None,
    )


def _rows(spans: IntArray, chosen: NDArray[np.bool_], windows: IntArray, row: int, begin: int) -> IntArray:
    """Rows (window, output, first, last) of the batch for spans in windows, clipped to what the window shows.

    Args:
        spans: [s, 3], rows (output, first, last) in tokens of the post.
        chosen: [n, s], which spans in which windows.
        windows: [n, 2].
        row: Row of the batch that holds the first of the windows.
        begin: Column of the batch where the post's tokens begin.
    """
    window, span = np.nonzero(chosen)
    shift = begin - windows[window, 0]
    first = np.maximum(spans[span, 1], windows[window, 0])
    last = np.minimum(spans[span, 2], windows[window, 1] - 1)
    columns = (row + window, spans[span, 0], first + shift, last + shift)
    return np.stack(columns, axis=1).astype(np.int64)


def _sentence_rows(sentences: IntArray, windows: IntArray, row: int, begin: int) -> IntArray:
    """Rows (window, sentence, first, last, whole) of the batch for what windows show of sentences.

    Args:
        sentences: [s, 2], in tokens of the post.
        windows: [n, 2].
        row: Row of the batch that holds the first of the windows.
        begin: Column of the batch where the post's tokens begin.
    """
    whole, cut = inside(sentences, windows)
    numbered = np.insert(sentences, 0, np.arange(len(sentences)), axis=1)
    shown = whole | cut
    return np.concatenate([_rows(numbered, shown, windows, row, begin), whole[shown][:, None]], axis=1)
