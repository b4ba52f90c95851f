"""``redsm5 data check`` and ``redsm5 data synth``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from redsm5.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two actions.

    Args:
        parser: The parser of ``redsm5 data``.
    """
    actions = parser.add_subparsers(dest="action", required=True, metavar="{check,synth}")
    check = actions.add_parser(
        "check",
        help="validate a corpus and report what is in it",
        description="Validate a corpus and report what is in it; exit code 2 where a fit would refuse it.",
    )
    check.add_argument(
        "paths",
        nargs="+",
        metavar="PATHS",
        help="a folder, a dataset id on the hub, or a posts file and an annotations file",
    )
    check.add_argument(
        "--criteria", metavar="FILE", help="the criteria (JSON or YAML); default: the nine DSM-5 symptoms"
    )
    check.add_argument(
        "--conflicts",
        choices=("positive", "negative", "drop"),
        default="positive",
        help="which judgement stands where a sentence has both (default: positive)",
    )
    check.add_argument(
        "--fuzzy-cutoff",
        type=float,
        default=90.0,
        metavar="0..100",
        help="least similarity of a fuzzy alignment (default: 90)",
    )
    check.add_argument(
        "--fuzzy-margin", type=float, default=5.0, metavar="0..100", help="its lead over any other place (default: 5)"
    )
    check.add_argument("--revision", metavar="REV", help="branch, tag or commit of a dataset on the hub")
    check.add_argument(
        "--json", metavar="FILE", help="write the audit as JSON; - for the standard output, without tables"
    )
    synth = actions.add_parser(
        "synth",
        help="write a synthetic corpus",
        description="Write a synthetic corpus in the columns of ReDSM5.",
    )
    synth.add_argument("--posts", type=int, required=True, metavar="N", help="number of posts")
    synth.add_argument(
        "--seed", type=int, default=0, metavar="S", help="the same seed gives the same files (default: 0)"
    )
    synth.add_argument("--out", required=True, metavar="DIR", help="the folder to write to")
    synth.add_argument(
        "--profile",
        choices=("default", "demo", "short"),
        default="default",
        help="default: the lengths and frequencies of ReDSM5; demo: short posts, balanced labels; short: the same with "
        "some two sentences a post",
    )


def run(args: argparse.Namespace) -> int:
    """Run the chosen action.

    Args:
        args: Parsed options.

    Returns:
        The exit code: 0, or 2 where a fit would refuse the corpus.

    Raises:
        UserError: The corpus cannot be read, or an option is impossible.
    """
    return _synth(args) if args.action == "synth" else _check(args)


def _check(args: argparse.Namespace) -> int:
    for option, value in (("--fuzzy-cutoff", args.fuzzy_cutoff), ("--fuzzy-margin", args.fuzzy_margin)):
        if not 0 <= value <= 100:
            raise UserError(f"{option} must be between 0 and 100 and is {value:g}")
    if len(args.paths) > 2:
        raise UserError(
            f"{len(args.paths)} paths are given; give a folder, a dataset id, or a posts and an annotations file"
        )
    from redsm5.datamodules.reading import check_corpus  # Help must not wait for the libraries.

    path, posts, annotations = (args.paths[0], None, None) if len(args.paths) == 1 else (None, *args.paths)
    audit = check_corpus(
        path=path,
        posts=posts,
        annotations=annotations,
        criteria=args.criteria,
        revision=args.revision,
        conflicts=args.conflicts,
        fuzzy_cutoff=args.fuzzy_cutoff,
        fuzzy_margin=args.fuzzy_margin,
    )
    if args.json is not None:
        content = audit.model_dump_json(indent=2)
        if args.json == "-":
            print(content)
        else:
            _write(args.json, content + "\n")
    if args.json != "-":
        from rich.console import Console

        from redsm5.datamodules.audit_table import print_audit

        # No highlighting or wrapping of ids: lines can be searched and copied.
        print_audit(Console(highlight=False, soft_wrap=True), audit)
    for refusal in audit.refusals:
        print(f"redsm5: error: {refusal}", file=sys.stderr)
    return 2 if audit.refusals else 0


def _synth(args: argparse.Namespace) -> int:
    if args.posts < 1:
        raise UserError(f"--posts must be at least 1 and is {args.posts}")
    from redsm5.datamodules.synth import generate, write

    posts, annotations = write(generate(posts=args.posts, seed=args.seed, profile=args.profile), args.out)
    print(f"wrote {posts} and {annotations}")
    return 0


def _write(path: str, content: str) -> None:
    try:
        Path(path).write_text(content, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--json {path}: cannot be written ({error.strerror}); choose another file") from None
