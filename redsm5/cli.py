"""The command line: dispatch, and the one LightningCLI. Nothing here imports torch before a command needs it."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redsm5 import __version__
from redsm5.errors import UserError
from redsm5.interrupts import Terminated, imports_end_at_once

if TYPE_CHECKING:
    from redsm5.run.lightning_cli import ReDSM5CLI

RUN_COMMANDS = {
    "fit": "train on a corpus; keep and evaluate the best epoch on the validation part",
    "validate": "evaluate a run's best checkpoint on the validation part",
    "test": "evaluate a run's best checkpoint on the test part",
}
"""Commands whose options are the config itself."""

OTHER_COMMANDS = {
    "pretrain": "masked-language modelling before a fit: on texts of the domain, then on the training posts",
    "predict": "probabilities, decisions and evidence spans for posts, as JSONL or Parquet",
    "export": "a finished run as a folder that predicts anywhere",
    "view": "a page of a run's posts, spans, figures and curves, for the browser",
    "data": "check a corpus, or write a synthetic one",
    "models": "the table of encoders",
    "baseline": "the TF-IDF baseline on the split of a run",
    "schema": "the JSON Schema of the config, or of what is written: report.json, study.json, ...",
    "plot-schedule": "the learning rate of every group over the steps of a training, as a picture",
    "tune-batch": "the largest batches that fit into memory, for a config or for the catalog",
    "hpo": "search hyperparameters with Optuna: for weeks, on many machines, resumable at any time",
    "report": "what a search found: importances, pruning, the best configs, the test, as a page for the browser",
    "confirm": "train the best trials of a search again on several seeds and folds: what is left of their figures",
    "ensemble": "the best trials of a search as one model, compared with the best of them",
    "clean": "what runs left behind on the disk, and its removal",
    "demo": "a corpus, a fit, a test and predictions, without a hub or a GPU",
}
"""Commands with a parser of their own, in ``redsm5.commands.<name>`` (a dash is an underscore there).

Where the module sets ``TAKES_CONFIG``, options that its parser does not know are those of the config: ``args.config``.
``ACTIONS`` are words that may come first: ``args.action``; ``args.given`` is everything after it.
"""

SECTIONS = {"checkpoint", "data", "early_stopping", "fresh", "model", "pretraining", "run_dir", "runtime",
            "seed_everything", "trackers", "trainer", "tune_batch"}  # fmt: skip
"""Keys of the config without a dot, known before seconds of imports."""
NEARLY = 0.8
"""How alike an unknown option and one of the command are, where the second is meant."""


def build_cli(args: list[str], *, command: str = "fit", parse_only: bool = False, elsewhere: bool = False) -> ReDSM5CLI:
    """Make the only LightningCLI of the project.

    Args:
        args: Config options, as on the command line.
        command: The name shown in help.
        parse_only: Parse and check, instantiate nothing.
        elsewhere: Parse only, for a training on another machine: its devices need not be here.

    Raises:
        UserError: The config is wrong; one sentence naming the key and what is accepted.
    """
    from redsm5.run.lightning_cli import make_cli

    return make_cli(args, command=command, parse_only=parse_only, elsewhere=elsewhere)


def config_schema() -> dict[str, Any]:
    """The JSON Schema of the config file."""
    from redsm5.run.lightning_cli import config_json_schema

    return config_json_schema()


def main(args: list[str] | None = None) -> int:
    """Run a command; returns the exit code (0 done, 1 a crash, 2 the user can put it right, 130 or 143 interrupted)."""
    argv = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in argv
    argv = [a for a in argv if a != "--debug"]
    try:
        with imports_end_at_once():
            return _dispatch(argv)
    except UserError as error:
        if debug:
            raise
        print(f"redsm5: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print("redsm5: interrupted; run the same command again to go on", file=sys.stderr)
        return 143 if isinstance(interrupt, Terminated) else 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if debug:
            raise
        from redsm5.run.crash import write_crash_log

        print(
            f"redsm5: crashed ({type(error).__name__}); the traceback is in {write_crash_log()}, or add --debug",
            file=sys.stderr,
        )
        return 1


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_help())
        return 0
    if argv[0] in ("-V", "--version"):
        print(f"redsm5 {__version__}")
        return 0
    command, rest = argv[0], argv[1:]
    if command in RUN_COMMANDS:
        check_files(command, rest)
        run_command = importlib.import_module(f"redsm5.run.{command}")
        return int(run_command.run(rest))
    if command in OTHER_COMMANDS:
        module = importlib.import_module(f"redsm5.commands.{command.replace('-', '_')}")
        actions: tuple[str, ...] = getattr(module, "ACTIONS", ())
        action = rest.pop(0) if rest and rest[0] in actions else None
        takes_config = getattr(module, "TAKES_CONFIG", False)
        parser = SentenceParser(prog=f"redsm5 {command}", description=OTHER_COMMANDS[command])
        module.add_arguments(parser)
        if not takes_config:
            return int(module.run(parser.parse_args(rest)))
        parsed, config = parser.parse_known_args(rest)
        refuse_misspelt(parser, actions, rest, config)
        parsed.config, parsed.action, parsed.given = config, action, rest
        return int(module.run(parsed))
    known = ", ".join([*RUN_COMMANDS, *OTHER_COMMANDS])
    raise UserError(f"there is no command {command!r}; the commands are {known}")


class SentenceParser(argparse.ArgumentParser):
    """An argparse parser whose errors are one sentence without the usage, and that takes no abbreviations."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> Any:
        """Raise instead of printing the usage and exiting."""
        raise UserError(f"{message} (see {self.prog} --help)")


def refuse_misspelt(
    parser: argparse.ArgumentParser, actions: tuple[str, ...], rest: list[str], config: list[str]
) -> None:
    """Refuse what is meant for the command itself, before it is taken for keys of the config.

    Args:
        parser: Of a command whose other options are those of the config.
        actions: The words that may come first.
        rest: What stands behind the command, and behind its action.
        config: What of it the parser does not know.

    Raises:
        UserError: A word that is no action, or an option that is nearly one of the command.
    """
    if config and rest[0] == config[0] and not config[0].startswith("-"):
        close = difflib.get_close_matches(config[0], actions, n=1)
        known = f"it takes {', '.join(actions)} or none" if actions else "it takes options alone"
        hint = f"did you mean {close[0]}?" if close else known
        raise UserError(f"{parser.prog} takes no word {config[0]!r}; {hint} (see {parser.prog} --help)")
    own = [option for action in parser._actions for option in action.option_strings]
    options = [arg.partition("=")[0] for arg in config if arg.startswith("--")]
    for option in options:
        if "." in option or option.removeprefix("--") in SECTIONS:
            continue
        if close := difflib.get_close_matches(option.replace("_", "-"), own, n=1, cutoff=NEARLY):
            raise UserError(f"{parser.prog} has no option {option}; did you mean {close[0]}?")


def check_files(command: str, args: list[str]) -> None:
    """Refuse a missing run, and a config that cannot be read, before seconds of imports.

    Args:
        command: Of ``RUN_COMMANDS``.
        args: Its arguments.

    Raises:
        UserError: A file is missing or cannot be read.
    """
    from redsm5.run.given import given_sources

    if command != "fit" and args and not args[0].startswith("-"):
        if not Path(args[0], "config.yaml").is_file():
            raise UserError(f"{args[0]} is no run folder (it holds no config.yaml); give the run_dir of a fit")
        args = args[1:]
    given_sources(args)


def _help() -> str:
    lines = [
        "usage: redsm5 COMMAND [options]",
        "",
        "Fine-tunes pretrained encoders to match DSM-5 criteria in posts and to bind the evidence for them.",
        "",
        "commands:",
        *(f"  {name:<13} {text}" for name, text in {**RUN_COMMANDS, **OTHER_COMMANDS}.items()),
        "",
        "redsm5 COMMAND --help shows the options of a command; --debug shows the traceback of a crash.",
    ]
    return "\n".join(lines)
