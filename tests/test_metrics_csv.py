import math

import pandas as pd
import pytest

from redsm5.errors import UserError
from redsm5.metrics_csv import MetricRow, append_rows, keep_rows, read_epochs, read_rows

ROWS = [
    MetricRow(0, 4, "val_loss", 0.1 + 0.2),
    MetricRow(0, 4, "a,b", math.inf),
    MetricRow(1, 8, "val_loss", 1e-300),
]


def test_rows_come_back_to_the_bit_and_open_in_pandas(tmp_path):
    path = tmp_path / "metrics.csv"
    append_rows(path, ROWS[:2])
    append_rows(path, ROWS[2:])
    assert read_rows(path) == ROWS
    wide = pd.read_csv(path, float_precision="round_trip").pivot(index="step", columns="name", values="value")
    assert list(wide["val_loss"]) == [0.1 + 0.2, 1e-300]


def test_epochs_leave_out_what_is_not_finite(tmp_path):
    append_rows(tmp_path / "metrics.csv", ROWS)
    assert read_epochs(tmp_path / "metrics.csv") == [
        {"epoch": 0, "step": 4, "val_loss": 0.1 + 0.2},
        {"epoch": 1, "step": 8, "val_loss": 1e-300},
    ]


@pytest.mark.parametrize("kept", range(60))
def test_a_file_cut_anywhere_reads_as_its_whole_lines_and_goes_on(tmp_path, kept):
    path = tmp_path / "metrics.csv"
    append_rows(path, ROWS)
    path.write_bytes(path.read_bytes()[:kept])
    whole = path.read_bytes().count(b"\n") - 1
    assert read_rows(path) == ROWS[: max(0, whole)]
    keep_rows(path, lambda row: True)
    append_rows(path, ROWS[max(0, whole) :])
    assert read_rows(path) == ROWS


@pytest.mark.parametrize("text", ["epoch,step,val_loss\n0,4,1.0\n", "epoch,step,name,value\n0,4,val_loss\n", "x\n"])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(UserError, match=r"metrics.csv is not a metrics file of a run; run redsm5 fit again"):
        read_rows(tmp_path / "metrics.csv")


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(UserError, match="No such file or directory; run redsm5 fit first"):
        read_rows(tmp_path / "metrics.csv")
