"""``redsm5 view RUN``: the page that shows posts, spans, figures and curves, made again from the files of a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from redsm5.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", help="folder of a finished run")
    parser.add_argument("--part", choices=("val", "test"), help="default: test if it has been predicted, else val")
    parser.add_argument("--corpus", help="where the corpus is now, if not where the config of the run says")
    parser.add_argument("--predictions", help="a page of these predictions (JSONL of redsm5 predict), without gold")
    parser.add_argument("--posts", help="with --predictions: the posts that were predicted")
    parser.add_argument("--out", help="HTML file to write (default: view-PART.html in RUN; beside --predictions)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def run(args: argparse.Namespace) -> int:
    """Write the page; returns the exit code."""
    if (args.predictions is None) != (args.posts is None):
        raise UserError("--predictions and --posts belong together: the predictions hold no text")
    if args.predictions is not None and (args.part is not None or args.corpus is not None):
        raise UserError("--predictions makes a page without gold; leave out --part and --corpus")
    out = None if args.out is None else Path(args.out)
    if out is not None and not out.absolute().parent.is_dir():
        raise UserError(f"--out {args.out}: there is no folder {out.absolute().parent}")

    from redsm5.inference.manifest import MANIFEST
    from redsm5.report.models import Part
    from redsm5.run.folder import RunFolder
    from redsm5.run.view import corpus_of_run, write_predictions_view, write_run_view

    folder = RunFolder(Path(args.run).absolute())
    if not folder.config.exists():
        raise UserError(f"{args.run} is not the folder of a run: it has no config.yaml")
    if args.predictions is None and (folder.path / MANIFEST).exists():
        raise UserError(f"{args.run} is an exported model: it holds no figures; name the run that it was made of")
    if args.predictions is not None:
        predictions = Path(args.predictions)
        path = write_predictions_view(folder, predictions, args.posts, out or predictions.with_suffix(".html"))
    else:
        part: Part = args.part or ("test" if folder.predictions("test").exists() else "val")
        corpus = None if args.corpus is None else corpus_of_run(folder, args.corpus)
        path = write_run_view(folder, part, corpus=corpus, out=out)
    print(f"view page: {path.absolute()}")
    if args.open:
        import webbrowser

        if not webbrowser.open(path.absolute().as_uri()):
            raise UserError(f"no browser was found; open {path.absolute()} yourself")
    return 0
