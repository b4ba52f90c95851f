"""The results of a check as text. Torch-free."""

from __future__ import annotations

from redsm5.encoder_check.result import CheckResult

_ROW = "  {:<12} {:<21} {:>6} {:>5} {:>5}  {}"
"""The layout of the table of encoders: an id has a line of its own, so that 80 columns do."""


def progress_line(result: CheckResult) -> str:
    """One encoder, as it is done."""
    return f"{result.id}: {result.failure or 'passed'} ({result.seconds:.0f} s)"


def print_results(results: list[CheckResult]) -> None:
    """The table, and how many passed."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text("encoder", style="bold"))
    console.print(Text(_ROW.format("family", "tokenizer", "M", "GB", "s", "formats passed"), style="bold"))
    for result in results:
        console.print(Text(result.id))
        console.print(
            Text(
                _ROW.format(
                    result.family,
                    result.tokenizer,
                    _number(result.parameters),
                    _number(result.memory_gb),
                    f"{result.seconds:.0f}",
                    ", ".join(result.formats) or "none",
                )
            )
        )
        if result.failure is not None:
            console.print(Padding(Text(f"failed: {result.failure}", style="red"), (0, 0, 0, 2)))
    passed = sum(result.passed for result in results)
    seconds = sum(result.seconds for result in results)
    console.print(Text(f"{passed} of {len(results)} passed in {seconds:.0f} s", style="bold"))
    legend = "M: millions of parameters without a pooler, GB: most memory that its process held, s: seconds"
    console.print(Text(legend, style="dim"))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
