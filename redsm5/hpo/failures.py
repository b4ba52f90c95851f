"""When so many trials fail that going on is a waste."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from redsm5.errors import UserError
from redsm5.hpo.records import Records

FEWEST = 10
"""Trials that have to end before the share of failed ones says something."""


def refuse_failing(records: Records, before: Records, most: float, study: Path) -> None:
    """See that not too many of the trials have failed that ended since this worker began.

    Earlier ones do not count: whoever starts the command again has mended what made them fail.

    Args:
        records: Of the study now.
        before: Of the study when this worker began.
        most: Share of failed ones that is allowed.
        study: Its folder.

    Raises:
        UserError: There are more.
    """
    known = {report.trial for report in before.ended}
    ended = [report for report in records.ended if report.trial not in known]
    failed = [report for report in ended if report.state == "FAIL"]
    if len(ended) < FEWEST or len(failed) <= most * len(ended):
        return
    reasons = "; ".join(
        f"{count} x {reason}" for reason, count in Counter(report.reason for report in failed).most_common(3)
    )
    raise UserError(
        f"{len(failed)} of {len(ended)} trials have failed, more than hpo.max_failed ({most:g}) allows: {reasons}; "
        f"{study}/trials/*/log.txt say more"
    )
