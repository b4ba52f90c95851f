"""``redsm5 report``: what a search found, as a page, as Markdown or as JSON."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from redsm5.errors import UserError

FORMATS = ("html", "json", "md")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("study_dir", metavar="STUDY", help="folder of the study")
    parser.add_argument("--format", choices=FORMATS, default="html", help="a page, or the same numbers (html)")
    parser.add_argument("--out", metavar="FILE", help="where to (report.html in the folder of the study; else printed)")
    parser.add_argument("--storage", metavar="URL", help="its database, where that is not in its folder")
    parser.add_argument("--study", metavar="NAME", help="its name in a database of several (that of the folder)")


def run(args: argparse.Namespace) -> int:
    """Make the report; returns the exit code."""
    import optuna

    from redsm5.atomic import refuse_unwritable, write_text_atomically
    from redsm5.hpo.settings import HpoSettings
    from redsm5.hpo.study import load_study
    from redsm5.hpo.study_folder import key_of
    from redsm5.hpo_report.gather import search_report
    from redsm5.hpo_report.markdown import MOST, markdown
    from redsm5.hpo_report.models import SEARCH_FILE

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    settings = HpoSettings(study_dir=args.study_dir, storage=args.storage, study=args.study)
    study = load_study(settings)
    out = Path(args.out) if args.out else settings.folder / "report.html" if args.format == "html" else None
    if out is not None:
        refuse_unwritable(out)
    report = search_report(study, lambda line: print(line, file=sys.stderr))
    numbers = report.model_dump_json(indent=2) + "\n"
    if key_of(settings.folder) is not None:  # else the trials are elsewhere
        try:
            write_text_atomically(settings.folder / SEARCH_FILE, numbers)
        except UserError as error:  # the report itself is printed, or goes elsewhere
            print(error, file=sys.stderr)
    if args.format == "json":
        text = numbers
    elif args.format == "md":
        text = markdown(report, most=None if args.out else MOST)
    else:
        from redsm5.hpo_report.page import render

        text = render(report)
    if out is None:
        sys.stdout.write(text)
        return 0
    write_text_atomically(out, text)
    print("\n".join(report.summary))
    print(out)
    return 0
