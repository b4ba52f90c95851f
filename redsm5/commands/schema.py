"""``redsm5 schema config|report|trial|study|search|confirm|ensemble``: the JSON Schemas."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which schema to print."""
    parser.add_argument(
        "which",
        choices=("config", "report", "trial", "study", "search", "confirm", "ensemble"),
        help="the config file; report.json of a run, or of a trial; study.json; what report prints; what confirm and "
        "ensemble write",
    )


def run(args: argparse.Namespace) -> int:
    """Print the schema on standard output."""
    from redsm5.report.schema import report_schema, schema_text

    if args.which == "config":
        from redsm5.cli import config_schema

        schema = config_schema()
    else:
        schema = report_schema(args.which)
    print(schema_text(schema), end="")
    return 0
