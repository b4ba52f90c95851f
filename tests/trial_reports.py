"""Reports of trials for tests."""

from datetime import UTC, datetime, timedelta

from redsm5.report.study_models import TrialReport, TrialSeconds

START = datetime(2026, 1, 1, tzinfo=UTC)


def report(trial, value=0.5, state="COMPLETE", **changes):
    """An ended trial."""
    facts = {
        "created": START + timedelta(seconds=10 * trial),
        "study": "s",
        "trial": trial,
        "attempts": 1,
        "state": state,
        "reason": "diverged" if state == "FAIL" else "",
        "detail": "the training has diverged" if state == "FAIL" else "",
        "objective": "val_f1_macro",
        "value": value,
        "objectives": {"val_f1_macro": value} if state == "COMPLETE" else {},
        "best_epoch": 1,
        "epochs": 3,
        "stopped_early": False,
        "pruned_at": 2 if state == "PRUNED" else None,
        "metrics": {"val_loss": 1.0},
        "params": {"encoder": "some/encoder", "peft": "LoRA", "lr": 1e-5},
        "settings": {"model.peft": "LoRA"},
        "notes": {},
        "batches": [],
        "seconds": TrialSeconds(sampling=0.5, pretraining=0.0, start=1.0, fits=9.0, storage=0.5),
        "memory_gb": 1.0,
        "worker": "host:1",
        "run": f"trials/{trial:05d}/attempt-1",
    }
    return TrialReport(**{**facts, **changes})
