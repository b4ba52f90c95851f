"""Random batches for the tests of the evidence head."""

from dataclasses import replace

import numpy as np
import torch

from redsm5.datamodules.batch import Batch


def make_batch(
    context,
    window_example,
    n_outputs,
    *,
    spans=(),
    hard_negatives=(),
    evidence_mask=None,
    offsets=None,
    unknown=None,
    cut_spans=(),
):
    """A batch whose tokens do not matter; by default token i of any window covers characters 4i to 4i + 3."""
    context = torch.as_tensor(np.asarray(context)).bool()
    windows, length = context.shape
    example = torch.as_tensor(np.asarray(window_example)).long()
    n_examples = int(example.max()) + 1
    if offsets is None:
        offsets = torch.stack([torch.arange(length) * 4, torch.arange(length) * 4 + 3], dim=-1).expand(windows, -1, -1)
    offsets = torch.as_tensor(np.asarray(offsets)).int() * context.unsqueeze(-1)
    if evidence_mask is None:
        evidence_mask = torch.ones(windows, n_outputs)
    return Batch(
        input_ids=torch.zeros(windows, length, dtype=torch.long),
        attention_mask=torch.ones(windows, length, dtype=torch.long),
        token_type_ids=None,
        context_mask=context,
        offsets=offsets,
        window_example=example,
        labels=torch.zeros(n_examples, n_outputs),
        evidence_mask=torch.as_tensor(np.asarray(evidence_mask)).bool(),
        unknown=~torch.as_tensor(np.asarray(evidence_mask)).bool()
        if unknown is None
        else torch.as_tensor(unknown).bool(),
        cut_spans=torch.tensor(list(cut_spans), dtype=torch.long).view(-1, 4),
        spans=torch.tensor(list(spans), dtype=torch.long).view(-1, 4),
        hard_negatives=torch.tensor(list(hard_negatives), dtype=torch.long).view(-1, 4),
        criterion=torch.full((n_examples,), -1),
        post_index=torch.arange(n_examples),
    )


def random_batch(seed, *, windows=5, length=9, n_outputs=3, span_rate=0.4, mask_rate=0.2):
    """Contexts of random extent, several spans per pair, hard negatives, masked pairs."""
    rng = np.random.default_rng(seed)
    context = np.zeros((windows, length), dtype=bool)
    spans, hard = [], []
    for w in range(windows):
        low = int(rng.integers(1, 3))
        high = int(rng.integers(low + 1, length + 1))
        context[w, low:high] = True
        for rows in (spans, hard):
            for k in range(n_outputs):
                for _ in range(int(rng.binomial(2, span_rate))):
                    first = int(rng.integers(low, high))
                    rows.append((w, k, first, int(rng.integers(first, high))))
    example = np.sort(rng.integers(0, windows, windows))
    example = np.unique(example, return_inverse=True)[1]
    mask = rng.random((windows, n_outputs)) >= mask_rate
    return make_batch(context, example, n_outputs, spans=spans, hard_negatives=hard, evidence_mask=mask)


def with_sentences(batch, sentences):
    """The batch with rows (window, sentence, first, last, whole)."""
    batch.sentences = torch.tensor(sentences, dtype=torch.long).view(-1, 5)
    return batch


def random_sentences(batch, seed):
    """Each window's context cut into pieces; every window of an example shows sentences of its own."""
    rng = np.random.default_rng(seed)
    rows, seen = [], dict.fromkeys(range(batch.size), 0)
    for w in range(len(batch.window_example)):
        tokens, e = np.flatnonzero(batch.context_mask[w].numpy()), int(batch.window_example[w])
        cuts = np.sort(rng.choice(np.arange(1, len(tokens)), size=min(2, len(tokens) - 1), replace=False))
        for piece in np.split(tokens, cuts):
            rows.append((w, seen[e], piece[0], piece[-1], int(rng.random() < 0.8)))
            seen[e] += 1
    return with_sentences(batch, rows)


def only(batch, example):
    """The batch of one example alone, without the padding that the others made necessary; and its windows."""
    windows = (batch.window_example == example).nonzero()[:, 0].tolist()
    length = int(batch.context_mask[windows].nonzero()[:, 1].max()) + 1

    def rows(table):
        kept = [[windows.index(row[0]), *row[1:]] for row in table.tolist() if row[0] in windows]
        return torch.tensor(kept, dtype=torch.long).view(-1, table.shape[1])

    tables = ("spans", "cut_spans", "hard_negatives", "sentences")
    by_token = ("input_ids", "attention_mask", "context_mask", "offsets")
    alone = replace(
        batch,
        **{name: rows(getattr(batch, name)) for name in tables},
        **{name: getattr(batch, name)[windows, :length] for name in by_token},
        **{name: getattr(batch, name)[windows] for name in ("evidence_mask", "unknown")},
        **{name: getattr(batch, name)[[example]] for name in ("labels", "criterion", "post_index")},
        window_example=torch.zeros(len(windows), dtype=torch.long),
    )
    return alone, windows
