"""``redsm5 models``: the table of encoders."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from redsm5.catalog import CATALOG, EncoderFacts
from redsm5.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--json", metavar="FILE", help="write the facts as JSON to FILE (- for standard output)")
    parser.add_argument(
        "--peft",
        action="store_true",
        help="instead of the facts, the share of the parameters that each PEFT method trains at its defaults",
    )


def run(args: argparse.Namespace) -> int:
    """Print the table, or write it as JSON.

    Raises:
        UserError: The file cannot be written.
    """
    if args.json is None:
        (_print_shares if args.peft else _print_table)(list(CATALOG.values()))
        return 0
    records = [_shares_record(facts) if args.peft else as_record(facts) for facts in CATALOG.values()]
    text = json.dumps(records, indent=2, ensure_ascii=False) + "\n"
    if args.json == "-":
        sys.stdout.write(text)
        return 0
    try:
        Path(args.json).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {args.json}: {error.strerror}; give another file, or -") from error
    return 0


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
"""One layout that fits 80 columns: an id can take 68, so it has a line of its own."""


def _print_table(rows: list[EncoderFacts]) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text("encoder", style="bold"))
    header = _ROW.format("family", "L/H/heads/FFN", "tokens", "M", "tokenizer", "licence")
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


def _row(facts: EncoderFacts) -> str:
    sizes = f"{facts.layers}/{facts.hidden}/{facts.heads}/{facts.ffn}"
    tokenizer = f"{facts.tokenizer}, {'cased' if facts.cased else 'lower case'}"
    licence = facts.licence or "none stated"
    return _ROW.format(facts.family, sizes, f"{facts.context:,}", f"{facts.parameters or 0:.1f}", tokenizer, licence)
