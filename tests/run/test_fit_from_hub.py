"""The command as a user types it, in processes of their own, with an encoder that the stand-in for the hub serves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import HubServer

from redsm5.report.writing import read_report


def redsm5(*args: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a cache of the hub's client under `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = {**kept, "HF_HOME": str(home), "REDSM5_CACHE": str(home / "tokens"), **environment}
    command = [sys.executable, "-m", "redsm5", *args]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


def fit(corpus: Path, run_dir: Path, *more: str) -> list[str]:
    return [
        "fit", f"--data.path={corpus}", "--model.encoder.id=owner/tiny-bert", f"--run_dir={run_dir}",
        "--data.max_length=48", "--data.stride=8", "--data.workers=0", "--trainer.max_epochs=1",
        "--trainer.accelerator=cpu", "--runtime.threads=1", *more,
    ]  # fmt: skip


@pytest.mark.slow
def test_fit_downloads_its_encoder_once_and_reports_the_commit(tiny_corpus_dir, tiny_encoder, tmp_path):
    home = tmp_path / "home"
    with HubServer() as server:
        commit = server.add("owner/tiny-bert", tiny_encoder, "main", "v1")
        server.fail("/revision/", times=2, status=503)
        first = redsm5(*fit(tiny_corpus_dir, tmp_path / "run"), home=home, HF_ENDPOINT=server.endpoint)
        assert first.returncode == 0, first.stderr
        assert server.fetched() >= {"config.json", "tokenizer.json", "model.safetensors"}
        encoder = read_report(tmp_path / "run" / "report.json").encoder
        assert (encoder.id, encoder.revision) == ("owner/tiny-bert", commit)

        server.requests.clear()
        missing = redsm5(
            *fit(tiny_corpus_dir, tmp_path / "none", "--model.encoder.revision=v2"),
            home=home, HF_ENDPOINT=server.endpoint,
        )  # fmt: skip
        assert missing.returncode == 2
        assert missing.stderr.startswith("redsm5: error: owner/tiny-bert has no revision 'v2'")
        assert len(missing.stderr.strip().splitlines()) == 1
    # The server is gone: what follows has no network.
    again = redsm5("test", str(tmp_path / "run"), home=home, HF_ENDPOINT=server.endpoint)
    assert again.returncode == 0, again.stderr
    report = read_report(tmp_path / "run" / "report.json")
    assert set(report.evaluations) == {"val", "test"}
    assert report.encoder.revision == commit
    assert json.loads((tmp_path / "run" / "report.json").read_text())["encoder"]["revision"] == commit
