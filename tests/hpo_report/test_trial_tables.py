"""Tables of trials against numbers that were counted by hand."""

from search_samples import of_rows

from redsm5.hpo_report import trial_tables
from redsm5.hpo_report.storage import storage_of, storage_table


def test_endings_have_shares_of_all_and_of_those_that_did_not_fail():
    report = of_rows(
        {"state": "PRUNED", "epochs": 2}, {"state": "PRUNED", "epochs": 4}, {"stopped_early": True, "epochs": 9},
        {"epochs": 100}, {"state": "FAIL", "epochs": 0},
    )  # fmt: skip
    assert trial_tables.ending_table(report).rows == (
        ("pruned", "2", "40%", "50%", "3", "3", "4"),
        ("stopped early", "1", "20%", "25%", "9", "9", "9"),
        ("trained to the last epoch", "1", "20%", "25%", "100", "100", "100"),
        ("failed", "1", "20%", "–", "0", "0", "0"),
    )


def test_durations_are_quantiles_by_state():
    report = of_rows(*({"seconds": float(n)} for n in range(21)), {"seconds": 7.5, "state": "PRUNED"})
    table = trial_tables.duration_table(report)
    assert table.head == ("state", "trials", "least", "5 %", "25 %", "median", "75 %", "95 %", "most")
    assert table.rows == (
        ("trained to its end", "21", "0 s", "1 s", "5 s", "10 s", "15 s", "19 s", "20 s"),
        ("pruned", "1", *["7.5 s"] * 7),
    )


def test_reports_have_a_line_per_epoch_and_the_trials_pruned_there():
    report = of_rows(
        {"curve": [(0, 0.1), (1, 0.4), (2, 0.6)]},
        {"curve": [(0, 0.3), (1, 0.2)], "state": "PRUNED"},
        {"curve": [(0, 0.2), (1, 0.6)], "state": "PRUNED"},
        {"curve": [(0, 0.5)], "state": "FAIL"},
    )
    assert trial_tables.curve_table(report).rows == (
        ("0", "4", "0.1", "0.25", "0.5", "0"),
        ("1", "3", "0.2", "0.4", "0.6", "2"),
        ("2", "1", "0.6", "0.6", "0.6", "0"),
    )


def test_storage_is_counted_by_kind(tmp_path):
    sizes = {
        "study.db": 1_000, "study.db-wal": 100, "trials/00000/attempt-1/checkpoints/best/weights.safetensors": 50_000,
        "trials/00000/attempt-1/predictions-val.jsonl": 2_000, "trials/00000/report.json": 300,
        "confirm/folds/checkpoints/w.safetensors": 7_000, "confirm.json": 70, "ensemble/predictions-val.jsonl": 80,
        "report.html": 9, "search.json": 1, "refits/00007/checkpoints/w.safetensors": 400,
    }  # fmt: skip
    for name, size in sizes.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    found = storage_of(tmp_path, 60_000)
    assert found.kinds == {
        "weights": 50_000, "predictions": 2_000, "database": 1_100, "confirm": 7_070, "ensemble": 80, "refits": 400,
        "report": 10, "rest": 300,
    }  # fmt: skip
    assert found.now == sum(sizes.values())
    rows = storage_table(of_rows().model_copy(update={"storage": found})).rows
    assert rows[:3] == (("peak of the search", "60 kB"), ("now", "61 kB"), ("now, weights", "50 kB"))


def test_storage_of_a_folder_that_is_elsewhere_is_its_peak(tmp_path):
    found = storage_of(tmp_path / "none", 5)
    assert (found.peak, found.now) == (5, 0)
