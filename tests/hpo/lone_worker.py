"""A worker that fits once, and whose beats always succeed while it runs: what it says comes to its output."""

import sys
import time

from redsm5.hpo.messages import Alive, Task
from redsm5.hpo.trial_process import TrialProcess

LEASE = 3.0


def work(run_dir, log, *args):
    process = TrialProcess(
        lambda _: print("begun", flush=True),
        lambda _: False,
        stuck_seconds=600.0,
        lease=lambda: Alive(time.monotonic() + LEASE, LEASE),
    )
    task = Task(args, run_dir, "val_f1_macro", "val_auprc_macro", log, time.monotonic())
    print(process.run(task).reason, flush=True)


if __name__ == "__main__":
    work(*sys.argv[1:])
