"""One arm of ``fit.py`` in a process of its own: trains, and writes what the last epoch took. Not run by hand."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from epoch import Epoch, fit_on_the_clock
from measure import write_json
from workload import MAX_LENGTH, Workload

BATCH = 8
RATE = 2e-5


def notebook(work: Workload, epochs: int, measured: Epoch) -> None:
    """A: every post padded to the longest length, batches at random, a plain loop."""
    from torch.utils.data import DataLoader, TensorDataset

    texts, labels = work.read_training_posts()
    encoded = _tokenizer(work)(texts, padding="max_length", truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
    data = TensorDataset(encoded["input_ids"], encoded["attention_mask"], torch.tensor(labels))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = _classifier(work, len(labels[0])).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    for _ in range(epochs):
        measured.begin()
        for ids, mask, wanted in DataLoader(data, batch_size=BATCH, shuffle=True):
            measured.count(mask)
            ids, mask, wanted = ids.to(device), mask.to(device), wanted.to(device)
            loss = model(input_ids=ids, attention_mask=mask, labels=wanted).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        measured.end()


def hf_trainer(work: Workload, epochs: int, measured: Epoch, *, sampling: str) -> None:
    """B and C: the Trainer of transformers with its defaults, each batch padded to its longest post."""
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

    class Clock(TrainerCallback):
        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            measured.begin()

        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            measured.end()

    tokenizer = _tokenizer(work)
    texts, labels = work.read_training_posts()
    encoded = tokenizer(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    data = [{"input_ids": ids, "labels": row} for ids, row in zip(encoded, labels, strict=True)]
    pad = DataCollatorWithPadding(tokenizer)

    def collate(examples: list[dict[str, Any]]) -> Any:
        batch = pad(examples)
        measured.count(batch["attention_mask"])
        return batch

    settings = TrainingArguments(
        output_dir=str(work.folder / "trainer"),
        num_train_epochs=epochs,
        per_device_train_batch_size=BATCH,
        learning_rate=RATE,
        weight_decay=0.01,
        train_sampling_strategy=sampling,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    Trainer(
        model=_classifier(work, len(labels[0])),
        args=settings,
        train_dataset=data,
        data_collator=collate,
        processing_class=tokenizer,
        callbacks=[Clock()],
    ).train()


def ours(work: Workload, epochs: int, measured: Epoch, *, joint: bool) -> None:
    """D: ``redsm5 fit`` with all its callbacks, one window per post; with both tasks, or criteria only."""
    options = {
        "run_dir": work.folder / "run",
        "model.encoder.id": work.encoder,
        "model.task_weighting.lambda_span": 0.3 if joint else 0.0,
        "model.optimizer.lr": RATE,
        "data.path": work.corpus,
        "data.split_file": work.split,
        "data.max_length": MAX_LENGTH,
        "data.max_windows": 1,
        "data.batching": "BatchSize",
        "data.batching.train": BATCH,
        "data.cache_dir": work.folder / "cache",
        "runtime.threads": torch.get_num_threads(),
        "trainer.max_epochs": epochs,
    }
    fit_on_the_clock(options, measured)


ARMS: dict[str, Callable[[Workload, int, Epoch], None]] = {
    "A": notebook,
    "B": partial(hf_trainer, sampling="random"),
    "C": partial(hf_trainer, sampling="group_by_length"),
    "D": partial(ours, joint=True),
    "D criteria": partial(ours, joint=False),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--arm", choices=ARMS, required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--result", required=True)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("high")  # what redsm5 sets
    measured = Epoch()
    ARMS[args.arm](Workload(Path(args.work)), args.epochs, measured)
    write_json(args.result, measured.figures())


def _tokenizer(work: Workload) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(work.encoder))


def _classifier(work: Workload, outputs: int) -> Any:
    from transformers import BertForSequenceClassification

    return BertForSequenceClassification.from_pretrained(
        str(work.encoder), num_labels=outputs, problem_type="multi_label_classification"
    )


if __name__ == "__main__":
    main()
