import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "evidence_heads.py"


@pytest.mark.slow
def test_evidence_heads_benchmark_times_every_head(tmp_path):
    out = tmp_path / "heads.json"
    options = ["--rounds=1", f"--json={out}"]
    done = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(out.read_text())
    assert len(report["milliseconds"]) == 7
    for name, taken in report["milliseconds"].items():
        assert list(taken) == ["forward + loss", "with gradients", "forward + decoding"]
        assert min(taken.values()) > 0
        assert name in done.stdout
