import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "study.py"


@pytest.mark.slow
def test_study_benchmark_times_both_arms_on_the_same_study(tmp_path):
    out = tmp_path / "study.json"
    options = ["--at=25", "--trials=2", "--rounds=1", f"--json={out}", f"--folder={tmp_path}"]
    done = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert found["space"] == {"dimensions": 106, "active": 46}
    for arm in ("ours", "optuna"):
        parts = found["medians"][arm]
        assert parts["all"] == pytest.approx(sum(parts[part] for part in ("claim", "draw", "reports", "tell")))
    assert "Optuna / ours" in done.stdout
