"""``redsm5 models``: the table of encoders, and whether each trains here."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from redsm5.catalog import CATALOG, EncoderFacts
from redsm5.errors import UserError

if TYPE_CHECKING:
    from redsm5.encoder_check.result import CheckResult


CHECK_SECONDS = 32
"""Computing time of the check of an encoder, on average: 16 minutes for all thirty."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--models", metavar="ID,...", help="these encoders only, by their hub ids")
    parser.add_argument("--json", metavar="FILE", help="write facts or results as JSON to FILE (- for standard output)")
    parser.add_argument(
        "--check",
        action="store_true",
        help="build each at full size with random weights and train a step in both formats (downloads nothing; needs "
        "7 GB of memory and 16 minutes of computing time)",
    )
    parser.add_argument(
        "--download", action="store_true", help="with --check: real weights and tokenizers from the hub"
    )
    parser.add_argument(
        "--peft",
        action="store_true",
        help="instead of the facts, the share of the parameters that each PEFT method trains at its defaults",
    )


def run(args: argparse.Namespace) -> int:
    """Print the table, or write it as JSON; with ``--check`` return 1 if an encoder failed.

    Raises:
        UserError: An encoder is not in the table, or the file cannot be written.
    """
    chosen = _chosen(args.models)
    if args.download and not args.check:
        raise UserError("--download is an option of --check; add --check")
    if args.peft and args.check:
        raise UserError("--peft shows shares and --check trains without an adapter; give one of them")
    if args.check:
        return _check(chosen, args.json, download=args.download)
    if args.json is None:
        (_print_shares if args.peft else _print_table)(chosen)
    else:
        _write_json(args.json, [_shares_record(facts) if args.peft else as_record(facts) for facts in chosen])
    return 0


def _chosen(ids: str | None) -> list[EncoderFacts]:
    if ids is None:
        return list(CATALOG.values())
    names = [name.strip() for name in ids.split(",") if name.strip()]
    if unknown := [name for name in names if name not in CATALOG]:
        raise UserError(
            f"--models: {unknown[0]} is not in the table; `redsm5 models` lists the ids "
            "(fit takes any other encoder too, by its hub id or folder)"
        )
    if not names:
        raise UserError("--models names no encoder; give ids of the table, separated by commas")
    return [CATALOG[name] for name in dict.fromkeys(names)]


def _write_json(path: str, records: list[dict[str, object]]) -> None:
    text = json.dumps(records, indent=2, ensure_ascii=False) + "\n"
    if path == "-":
        sys.stdout.write(text)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give another file, or -") from error


def _check(chosen: list[EncoderFacts], json_file: str | None, *, download: bool) -> int:
    from redsm5.encoder_check.run import check_all
    from redsm5.encoder_check.table import print_results, progress_line

    results: list[CheckResult] = []

    def done(result: CheckResult) -> None:
        results.append(result)
        # On standard error, so that standard output is the table or the JSON alone.
        print(f"[{len(results)}/{len(chosen)}] {progress_line(result)}", file=sys.stderr, flush=True)

    if json_file not in (None, "-"):
        _write_json(json_file, [])  # a file that cannot be written is said now, not after a quarter of an hour
    encoders = "1 encoder" if len(chosen) == 1 else f"{len(chosen)} encoders, one after the other"
    minutes = max(1, round(len(chosen) * CHECK_SECONDS / 60))
    print(f"checking {encoders}: about {minutes} min of computing time", file=sys.stderr, flush=True)
    interrupted = False
    try:
        check_all(chosen, download=download, done=done)
    except KeyboardInterrupt:
        interrupted = True
        print(f"redsm5: interrupted after {len(results)} of {len(chosen)}", file=sys.stderr)
    if json_file is not None:
        _write_json(json_file, [{**asdict(result), "passed": result.passed} for result in results])
    if json_file != "-":
        print_results(results)
    if interrupted:
        return 130
    return 0 if all(result.passed for result in results) else 1


def as_record(facts: EncoderFacts) -> dict[str, object]:
    """All facts of an encoder as plain values."""
    return {
        **asdict(facts),
        "attention": facts.attention,
        "attention_modules": list(facts.attention_modules),
        "ffn_modules": list(facts.ffn_modules),
    }


def _shares_record(facts: EncoderFacts) -> dict[str, object]:
    from redsm5.peft.shares import trainable

    parameters, counts = trainable(facts)
    return {"id": facts.id, "parameters": parameters, "trainable": counts}


def _print_shares(rows: list[EncoderFacts]) -> None:
    from rich.console import Console
    from rich.text import Text

    from redsm5.peft.shares import trainable

    if not sys.stdout.isatty():
        for number, facts in enumerate(rows):
            parameters, counts = trainable(facts)
            if number == 0:
                print(_line("encoder", "".join(f"{name:>10}" for name in counts)))
            print(_line(facts.id, "".join(f"{100 * count / parameters:9.2f}%" for count in counts.values())))
        return
    console = Console(highlight=False)
    for number, facts in enumerate(rows):
        parameters, counts = trainable(facts)
        if number == 0:
            console.print(Text("encoder", style="bold"))
            console.print(Text("".join(f"{name:>10}" for name in counts), style="bold"))
        console.print(Text(facts.id))
        console.print(Text("".join(f"{100 * count / parameters:9.2f}%" for count in counts.values())))
    legend = "Share of the encoder's parameters that train, each method at its defaults; heads come on top."
    console.print(Text(legend, style="dim"))


_ROW = "  {:<12} {:<15} {:>6} {:>6}  {:<21} {}"
"""One layout that fits 80 columns: an id can take 68, so it has a line of its own on a terminal."""


def _print_table(rows: list[EncoderFacts]) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    header = _ROW.format("family", "L/H/heads/FFN", "tokens", "M", "tokenizer", "licence")
    if not sys.stdout.isatty():
        print(_line("encoder", header))
        for facts in rows:
            notes = "; ".join((*(["gated"] if facts.gated else []), *facts.notes))
            print(_line(facts.id, _row(facts) + (f"  ({notes})" if notes else "")))
        return
    console = Console(highlight=False)
    console.print(Text("encoder", style="bold"))
    console.print(Text(header, style="bold"))
    for facts in rows:
        console.print(Text(facts.id + ("  (gated)" if facts.gated else "")))
        console.print(Text(_row(facts)))
        if facts.notes:
            console.print(Padding(Text("; ".join(facts.notes), style="dim"), (0, 0, 0, 2)))
    legend = (
        "L layers, H hidden size, tokens: longest window with its special tokens, M: millions of parameters. "
        "Any other encoder works by its hub id or folder."
    )
    console.print(Text(legend, style="dim"))


def _line(name: str, values: str) -> str:
    """One line per encoder, where it goes into a file or another program: no width to keep to."""
    return f"{name:<{max(map(len, CATALOG))}}{values}".rstrip()


def _row(facts: EncoderFacts) -> str:
    sizes = f"{facts.layers}/{facts.hidden}/{facts.heads}/{facts.ffn}"
    tokenizer = f"{facts.tokenizer}, {'cased' if facts.cased else 'lower case'}"
    licence = facts.licence or "none stated"
    return _ROW.format(facts.family, sizes, f"{facts.context:,}", f"{facts.parameters or 0:.1f}", tokenizer, licence)
