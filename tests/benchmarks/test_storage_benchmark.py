import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "storage.py"


@pytest.mark.slow
def test_storage_keeps_few_checkpoints_and_no_frozen_weights(tmp_path):
    out = tmp_path / "storage.json"
    options = ["--epochs=8", "--layers=1", "--hidden=64", f"--json={out}", f"--folder={tmp_path}"]
    done = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    methods = json.loads(out.read_text())["methods"]
    for arms in methods.values():
        assert arms["all"]["saves"] == 8
        assert arms["ours"]["end"] <= arms["ours"]["peak"]
    full = methods["full"]
    assert full["ours"]["peak"] < 0.4 * full["all"]["peak"]
    assert methods["lora"]["ours"]["peak"] < 0.1 * full["ours"]["peak"]
