"""A training that does what its config says in a word, in the process where a refit would be trained."""

import json
import os
import signal
import sys
from pathlib import Path

import yaml

from redsm5.children import end_with
from redsm5.confirm.refit import RESULT, Kept
from redsm5.hpo.messages import Ended


def serve(task, pipe):
    end_with(pipe)
    folder, word = Path(task.folder), Path(task.config).read_text(encoding="utf-8").strip()
    given = dict(option.removeprefix("--").split("=") for option in task.batches)
    batch = int(given.get("data.batching.train", 16))
    evaluation = int(given.get("data.batching.eval", 64))
    accumulate = int(given.get("trainer.accumulate_grad_batches", 1))
    with Path(task.config).with_suffix(".tries").open("a", encoding="utf-8") as file:
        file.write(json.dumps([task.seed, task.fold, batch, accumulate]) + "\n")
    batching = {"class_path": "BatchSize", "init_args": {"train": batch, "eval": evaluation}}
    config = {"data": {"batching": batching, "max_length": 16}, "trainer": {"accumulate_grad_batches": accumulate}}
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "view-test.html").write_text("a post", encoding="utf-8")
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    if word == "killed" or (word == "killed once" and not (folder / "was-killed").exists()):
        (folder / "was-killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "exits":
        sys.stdout.flush()
        os._exit(3)
    how = {"fits 4": "out of memory" if batch > 4 else "trained", "never fits": "out of memory"}.get(word, word)
    how = "trained" if word in ("killed once", "good") else how
    if how in ("trained", "diverged"):
        result = task.failed("no numbers" if how == "diverged" else "").model_copy(update={"value": 0.5})
        (folder / RESULT).write_text(Kept(of=task.of, refit=result).model_dump_json(), encoding="utf-8")
    pipe.send(Ended(how, f"it was {how}", f"it was {how}, in a sentence"))
