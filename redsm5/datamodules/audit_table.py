"""The audit of a corpus as tables on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from redsm5.datamodules.audit import CorpusAudit

MAX_LISTED = 20
"""Ids that a table lists; the JSON has all of them."""


def print_audit(console: Console, audit: CorpusAudit) -> None:
    """Print what was found; ids and counts, never post text.

    Args:
        console: Where to.
        audit: The audit.
    """
    console.print(f"[bold]{_plain(audit.source)}[/bold]  sha256 {audit.sha256 or 'none: a fit would be refused'}")
    console.print(_files(audit))
    console.print(_counts(audit))
    console.print(_labels(audit))
    console.print(_alignment(audit))
    _list(console, "unknown labels", [f"{o.name} ({o.rows} rows, first {o.first})" for o in audit.unknown_labels])
    _list(console, "missing posts", [f"{o.name} ({o.rows} rows, first {o.first})" for o in audit.missing_posts])
    _list(console, "posts without text", list(audit.empty_posts))
    _list(
        console,
        "conflicts",
        [f"{c.post_id} {c.criterion} {' '.join(c.sentence_ids)}: {c.kept}" for c in audit.conflicts],
    )
    _list(
        console,
        "not found in their posts",
        [f"{f.sentence_id} {f.criterion} ({f.score:.0f})" for f in audit.alignment.failed],
    )
    for warning in audit.warnings:
        console.print(f"[yellow]warning:[/yellow] {_plain(warning)}")


def _files(audit: CorpusAudit) -> Table:
    table = Table(title="Files", title_justify="left")
    table.add_column("file", overflow="fold")
    table.add_column("format")
    table.add_column("encoding")
    table.add_column("rows", justify="right")
    for file in audit.files:
        table.add_row(_plain(file.name), file.format, file.encoding, f"{file.rows:,}")
    return table


def _counts(audit: CorpusAudit) -> Table:
    table = Table("what", title="Rows", title_justify="left")
    table.add_column("count", justify="right")
    for what, count in (
        ("posts", audit.posts),
        ("  of authors", audit.authors),
        ("  with no criterion", audit.posts_without_criteria),
        ("  repeated rows dropped", audit.duplicate_posts),
        ("  without text, dropped", len(audit.empty_posts)),
        ("annotations", audit.annotations),
        ("  repeated rows dropped", audit.duplicate_annotations),
        (f"  conflicts settled ({audit.conflict_policy})", len(audit.conflicts)),
        ("  special cases left out", audit.special_case_rows),
        ("  with an unknown label", sum(label.rows for label in audit.unknown_labels)),
        ("  of missing posts", sum(post.rows for post in audit.missing_posts)),
        ("  of posts without text", audit.annotations_of_empty_posts),
    ):
        table.add_row(what, f"{count:,}")
    return table


def _labels(audit: CorpusAudit) -> Table:
    table = Table("criterion", title="Criteria", title_justify="left")
    for column in ("evidence rows", "posts", "hard negative rows", "posts"):
        table.add_column(column, justify="right")
    for label in audit.labels:
        numbers = (label.positive_rows, label.positive_posts, label.hard_negative_rows, label.hard_negative_posts)
        table.add_row(label.code, *(f"{number:,}" for number in numbers))
    return table


def _alignment(audit: CorpusAudit) -> Table:
    alignment = audit.alignment
    title = f"Alignment (fuzzy: at least {alignment.fuzzy_cutoff:g}, by a margin of {alignment.fuzzy_margin:g})"
    table = Table("found", title=title, title_justify="left")
    for column in ("evidence", "hard negatives", "all"):
        table.add_column(column, justify="right")
    total = max(1, audit.annotations)
    for kind, count in alignment.counts.items():
        table.add_row(
            kind,
            f"{alignment.evidence[kind]:,}",
            f"{alignment.hard_negatives[kind]:,}",
            f"{count:,} ({count / total:.1%})",
        )
    if alignment.score_quantiles is not None:
        quantiles = ", ".join(f"{float(q):.0%}: {score:.0f}" for q, score in alignment.score_quantiles.items())
        table.caption = f"similarity of the fuzzy and failed ones, by quantile: {quantiles}"
        table.caption_justify = "left"
    return table


def _list(console: Console, title: str, lines: list[str]) -> None:
    if not lines:
        return
    console.print(f"[bold]{title}[/bold] ({len(lines)})")
    for line in lines[:MAX_LISTED]:
        console.print(f"  {_plain(line)}")
    if len(lines) > MAX_LISTED:
        console.print(f"  and {len(lines) - MAX_LISTED} more; --json lists all")


def _plain(text: str) -> str:
    """Names as they are: a bracket in a file name is no markup."""
    return text.replace("[", r"\[")
