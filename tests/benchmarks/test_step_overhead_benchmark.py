import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "step_overhead.py"


@pytest.mark.slow
def test_step_overhead_compares_the_same_steps(tmp_path):
    out = tmp_path / "steps.json"
    options = ["--posts=40", "--rounds=1", "--epochs=2", "--layers=1", f"--json={out}"]
    done = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(out.read_text())
    arms = {arm: values["median"] for arm, values in report["arms"].items()}
    assert list(arms) == ["plain", "loader", "fit"]
    for arm, figures in arms.items():
        assert figures["steps"] == 40 // 8
        # Windows of the last epoch are drawn from its number: equal tokens are equal batches.
        for count in ("useful_tokens", "padded_tokens"):
            assert figures[count] == arms["plain"][count] > 0
        above = figures["ms_per_step"] - arms["plain"]["ms_per_step"]
        assert report["ms_above_plain"][arm] == pytest.approx(above)
        assert report["arms"][arm]["what"] in done.stdout
