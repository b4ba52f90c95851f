"""What a trial that has ended leaves in its folder: ``report.json`` and ``config.yaml``.

They are written into the folder of its attempt first, which no other worker writes into, and copied up when the
database has taken its result: a worker that was stalled, and has lost its trial, leaves nothing of its own there.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from redsm5.atomic import write_text_atomically
from redsm5.errors import MachineFault, UserError
from redsm5.hpo.records import Records, best_first
from redsm5.hpo.retention import prune_study, trial_folder
from redsm5.hpo.study import Study
from redsm5.report.study_models import TrialReport

STUDY_FILE = "study.json"
"""What the whole search came to, in the folder of the study."""
REPORT_FILE, CONFIG_FILE = "report.json", "config.yaml"
OWN = {REPORT_FILE: "trial-report.json", CONFIG_FILE: "trial-config.yaml"}
"""Their names in the folder of the attempt, where the run has files of the same names."""


def keep_result(run_dir: Path, report: TrialReport, config: str | None) -> None:
    """Write them into the folder of the attempt."""
    run_dir.mkdir(parents=True, exist_ok=True)
    if config is not None:
        write_text_atomically(run_dir / OWN[CONFIG_FILE], config)
    write_text_atomically(run_dir / OWN[REPORT_FILE], report.model_dump_json(indent=2) + "\n")


def publish(study: Path, report: TrialReport) -> None:
    """Copy them up, unless that was done, or the attempt ran on another machine; the report comes last.

    Args:
        study: Folder of the study.
        report: As the database has it.
    """
    folder, run_dir = trial_folder(study, report.trial), study / report.run
    if (folder / REPORT_FILE).exists():
        return
    for name in (CONFIG_FILE, REPORT_FILE):
        with suppress(FileNotFoundError):
            write_text_atomically(folder / name, (run_dir / OWN[name]).read_text(encoding="utf-8"))


def tidy(study: Study, records: Records, done: set[int]) -> None:
    """Publish what workers that are gone did not, and remove what cannot matter any more; several may do so at once.

    Args:
        study: The study.
        records: All of its trials.
        done: Numbers of which nothing is left to do; added to.

    Raises:
        UserError: A file cannot be written or removed.
    """
    best = best_first(records.ended, study.plan.direction.name.lower())[: study.settings.keep]
    ended = {report.trial: report.run for report in records.ended}
    try:
        for report in records.ended:
            if report.trial not in done:
                publish(study.folder, report)
        prune_study(study.folder, ended, {report.trial for report in best}, done)
    except OSError as error:
        raise disk_fault(error, study.folder) from error


def disk_fault(error: BaseException, folder: Path) -> MachineFault:
    """The sentence about a disk that is full or does not work, as an error tells of it.

    Args:
        error: Its sentence is kept where it is one.
        folder: That is named where the error names no file.
    """
    if isinstance(error, UserError):
        return MachineFault(str(error))
    name, why = getattr(error, "filename", None), getattr(error, "strerror", None)
    return MachineFault(
        f"{name or folder} cannot be written: {why or error}; make room or mend the disk, and the same command goes on"
    )
