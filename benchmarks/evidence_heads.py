"""Milliseconds that each evidence head takes for a batch, the encoder left out.

Run ``python benchmarks/evidence_heads.py``; ``--json FILE`` also writes the figures to a file.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from measure import machine, print_table, write_json

from redsm5.datamodules.batch import Batch
from redsm5.modules.decoding import SpanDecoding, decode
from redsm5.modules.evidence_head import (
    CRF,
    Biaffine,
    EvidenceHead,
    SentenceFilter,
    SentenceRanker,
    StartEnd,
    StartEndMLP,
)

HEADS: dict[str, EvidenceHead] = {
    "StartEnd": StartEnd(),
    "StartEndMLP": StartEndMLP(),
    "Biaffine": Biaffine(),
    "CRF": CRF(),
    "SentenceRanker": SentenceRanker(),
    "SentenceFilter of StartEnd": SentenceFilter(),
    "SentenceFilter of CRF": SentenceFilter(head=CRF()),
}
WINDOWS, LENGTH, HIDDEN, OUTPUTS = 16, 128, 384, 9
SENTENCE = 14
"""Tokens."""
DECODING = SpanDecoding()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="timings of which the median counts (default: 15)")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default: 1)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    batch, states = made_batch(), torch.randn(WINDOWS, LENGTH, HIDDEN)
    medians: dict[str, dict[str, float]] = {}
    for name, option in HEADS.items():
        torch.manual_seed(0)
        head = option.build(HIDDEN, OUTPUTS)

        def forward_and_loss() -> None:
            with torch.no_grad():
                head.loss(head(states, batch), batch)  # noqa: B023 - called within the round

        def step() -> None:
            head.zero_grad()  # noqa: B023
            inputs = states.clone().requires_grad_()
            head.loss(head(inputs, batch), batch).total.backward()  # type: ignore[no-untyped-call]  # noqa: B023

        def decoded() -> None:
            with torch.no_grad():
                found = head.candidates(head(states, batch), batch, DECODING)  # noqa: B023
                decode(found, batch.size, OUTPUTS, DECODING)

        works = {"forward + loss": forward_and_loss, "with gradients": step, "forward + decoding": decoded}
        medians[name] = {what: milliseconds(work, args.rounds) for what, work in works.items()}
    first = next(iter(medians.values()))
    print_table(
        f"{WINDOWS} windows of {LENGTH} tokens, H {HIDDEN}, K {OUTPUTS}; processor ms, medians of {args.rounds}",
        ["head", *first],
        [
            [name, *(f"{ms:.1f} ({ms / first[what]:.1f}x)" for what, ms in taken.items())]
            for name, taken in medians.items()
        ],
    )
    facts = machine()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    if args.json:
        settings = {key: value for key, value in vars(args).items() if key != "json"}
        write_json(args.json, {"machine": facts, "settings": settings, "milliseconds": medians})


def made_batch() -> Batch:
    """Two windows per post; every second window has evidence, every fourth a hard negative."""
    token = torch.arange(LENGTH)
    context = ((token > 0) & (token < LENGTH - 1)).expand(WINDOWS, -1)
    offsets = torch.stack([4 * token, 4 * token + 3], dim=-1).int() * context.unsqueeze(-1)
    windows = torch.arange(WINDOWS)
    per_window = (LENGTH - 2) // SENTENCE
    sentences = [
        (w, w % 2 * per_window + s, 1 + s * SENTENCE, (s + 1) * SENTENCE, 1)
        for w in range(WINDOWS)
        for s in range(per_window)
    ]
    posts = WINDOWS // 2
    return Batch(
        input_ids=torch.zeros(WINDOWS, LENGTH, dtype=torch.long),
        attention_mask=torch.ones(WINDOWS, LENGTH, dtype=torch.long),
        token_type_ids=None,
        context_mask=context,
        offsets=offsets,
        window_example=windows // 2,
        labels=torch.zeros(posts, OUTPUTS),
        evidence_mask=torch.ones(WINDOWS, OUTPUTS, dtype=torch.bool),
        unknown=torch.zeros(WINDOWS, OUTPUTS, dtype=torch.bool),
        spans=torch.tensor([(w, w % OUTPUTS, 15, 28) for w in range(0, WINDOWS, 2)]),
        cut_spans=torch.zeros(0, 4, dtype=torch.long),
        hard_negatives=torch.tensor([(w, w % OUTPUTS, 43, 56) for w in range(1, WINDOWS, 4)]),
        criterion=torch.full((posts,), -1),
        post_index=torch.arange(posts),
        sentences=torch.tensor(sentences),
    )


def milliseconds(work: Callable[[], None], rounds: int) -> float:
    """Median of the processor time of a piece of work, after three rounds to warm up."""
    taken = []
    for _ in range(rounds + 3):
        begin = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - begin))
    return median(taken[3:])


if __name__ == "__main__":
    main()
