"""Before a fit: its section ``pretraining`` becomes a plain path to an encoder, made in a child process if need be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from redsm5.atomic import write_text_atomically
from redsm5.cli import build_cli
from redsm5.errors import UserError
from redsm5.pretraining.options import Pretraining
from redsm5.pretraining.record import RECORD
from redsm5.run.given import given_sources, merged

SHOW = ("--help", "-h", "--print_config")
"""Options that run nothing."""
HANDED_ON = (signal.SIGTERM, signal.SIGUSR1)
"""Signals that stop a training, which a scheduler may send to this process alone."""


class PretrainingEnded(Exception):
    """The child that was to make the stage has ended otherwise: by a signal, or with a sentence that it has said.

    Args:
        code: Its exit code.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


def in_fresh_process(args: list[str]) -> int:
    """``redsm5 pretrain`` with these arguments, which leaves nothing of it in this process; its exit code.

    Ctrl-C reaches the child too; SIGTERM and SIGUSR1 are handed on. It then saves and ends.
    """
    # A stage runs on one device, whatever Slurm was asked for: without this Lightning would want as many as tasks.
    environment = {name: value for name, value in os.environ.items() if name != "SLURM_NTASKS"}
    child = subprocess.Popen([sys.executable, "-m", "redsm5", "pretrain", *args], env=environment)
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, lambda n, _: child.send_signal(n)) for number in HANDED_ON}
    try:
        while True:
            try:
                code = child.wait()
            except KeyboardInterrupt:
                continue
            return code if code >= 0 else 128 - code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def with_pretrained_encoder(args: list[str], make: Callable[[list[str]], int] = in_fresh_process) -> list[str]:
    """The arguments of a fit, with the encoder that its section ``pretraining`` leads to in place of that section.

    Args:
        args: Of the fit.
        make: ``redsm5 pretrain`` with these arguments in another process; returns its exit code.

    Raises:
        PretrainingEnded: The stage was not made.
        UserError: The config is wrong, or encoder, texts or corpus cannot be read.
    """
    if any(arg.startswith(SHOW) for arg in args):
        return args
    given = merged(given_sources(args))
    if all(str(given.get(f"pretraining.use_{kind}", False)).lower() == "false" for kind in ("dapt", "tapt")):
        return args  # without a parse, which takes a quarter of a second
    config = build_cli(args, parse_only=True).config
    if not Pretraining(**config.pretraining.as_dict()).kinds:
        return args
    from redsm5.pretraining.chain import chain_of

    chain = chain_of(config)
    if not chain.is_made and (code := make(args)) != 0:
        raise PretrainingEnded(code)
    if not chain.is_made:
        raise UserError(f"the stage {chain.encoder} was made and is gone again; raise pretraining.cache_gb")
    chain.used_by(Path(config.run_dir))
    # Every option of the section as it is by itself: what it asked for is in the encoder now.
    plain = [f"--pretraining.{field.name}={_written(field.default)}" for field in fields(Pretraining)]
    return [
        *args,
        *plain,
        f"--model.encoder.id={chain.encoder}",
        "--model.encoder.revision=null",
        "--model.encoder.random_weights=false",
    ]


def keep_record(encoder: str, run_dir: Path) -> None:
    """Keep in the folder of a run what its encoder was pretrained on: for its view, whatever becomes of the stage.

    Args:
        encoder: Id of the run's encoder.
        run_dir: Of the run.
    """
    record = Path(encoder) / RECORD
    if record.is_file():
        write_text_atomically(run_dir / RECORD, record.read_text(encoding="utf-8"))


def _written(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
