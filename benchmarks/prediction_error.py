"""How far prediction on fake tensors is from what probes have measured, for every probed setting of a calibration.

Run ``python benchmarks/prediction_error.py calibration.json`` where ``redsm5 tune-batch --all`` has written it. Peaks
are counted at the size that was found, so that the figures compare.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from measure import print_table

from redsm5.batch_search.calibration import Entry, read_calibration
from redsm5.batch_search.fake_session import FakeSession
from redsm5.batch_search.grid import Grid, requests
from redsm5.batch_search.limits import GB
from redsm5.batch_search.request import Budget

COMMON = ("--config", "configs/tune-batch.yaml")


def main() -> None:
    args = _arguments()
    entries = [e for e in read_calibration(args.calibration).entries if e.method != "fake" and e.windows is not None]
    rows: list[list[str]] = []
    errors: list[float] = []
    end = time.monotonic() + args.seconds
    for entry in entries:
        if time.monotonic() > end:
            print(f"{len(entries) - len(rows)} settings are left out: the time is over")
            break
        predicted = counted_gb(entry)
        assert entry.peak_gb is not None
        errors.append(predicted / entry.peak_gb - 1)
        figures = [f"{entry.windows}", f"{entry.peak_gb:.2f}", f"{predicted:.2f}", f"{errors[-1]:+.1%}"]
        rows.append([f"{entry.encoder} {entry.peft}", *figures])
    print_table("Peak memory of a training batch", ["setting", "windows", "measured GB", "predicted GB", "error"], rows)
    if errors:
        print(f"median error {median(errors):+.1%}, largest {max(errors, key=abs):+.1%} over {len(errors)} settings")


def counted_gb(entry: Entry) -> float:
    """The peak that is predicted for the size that was found."""
    assert entry.windows is not None
    grid = Grid((entry.encoder,), (entry.max_length,), (entry.precision,), (entry.checkpointing,), (entry.peft,))
    (request,) = requests(COMMON, grid, Budget(entry.device.memory_gb, entry.device.margin, "fake"))
    with FakeSession(replace(request.spec, limited=False)) as session:
        peaks = session.probe(entry.windows, entry.eval_windows or 1).peaks
    assert peaks is not None
    return peaks.largest / GB


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("calibration", type=Path, help="the file")
    parser.add_argument("--seconds", type=float, default=45.0, help="no new setting after so long (default: 45)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
