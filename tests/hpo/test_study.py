"""Studies that are begun, gone on with and looked at, without a trial that runs."""

import sqlite3
from argparse import Namespace
from contextlib import closing
from dataclasses import replace

import pytest
from searches import search_options
from sqlalchemy import exc
from trial_reports import report

from redsm5 import __version__
from redsm5.cli import main
from redsm5.commands import hpo
from redsm5.errors import UserError
from redsm5.hpo import storage as storage_module
from redsm5.hpo import study as study_module
from redsm5.hpo.records import Records
from redsm5.hpo.settings import HpoSettings, read_settings
from redsm5.hpo.slots import Slots
from redsm5.hpo.storage import open_storage
from redsm5.hpo.study import PLAN, load_study, open_study
from redsm5.hpo.worker import Worker
from redsm5.run.lock import boot_id


@pytest.fixture
def begun(tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch):
    """A function that runs the command up to where its worker begins."""

    def interrupted(self, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Worker, "work", interrupted)
    options = search_options(tiny_corpus_dir, tiny_encoder, tmp_path)
    return lambda *more: main(options("--n-trials", "7", *more))


def settings_of(tmp_path, **changes):
    return replace(HpoSettings(study_dir=str(tmp_path / "study"), lease_seconds=30.0), **changes)


def copied(corpus, folder, change=lambda text: text):
    folder.mkdir()
    for name in ("redsm5_posts.csv", "redsm5_annotations.csv"):
        text = (corpus / name).read_text(encoding="utf-8")
        (folder / name).write_text(change(text) if "annotations" in name else text, encoding="utf-8")
    return folder


def test_study_goes_on_with_its_corpus_and_split_only(begun, tiny_corpus_dir, tmp_path, capfd):
    assert begun() == 130
    capfd.readouterr()

    same = copied(tiny_corpus_dir, tmp_path / "same")
    assert begun(f"--data.path={same}") == 130
    files = sorted(path.name for path in (tmp_path / "study").glob("base*.yaml"))
    assert len(files) == 2
    assert files[1] == "base.yaml"
    assert str(same) not in (tmp_path / "study" / "base.yaml").read_text(encoding="utf-8")

    before = {path: path.read_bytes() for path in (tmp_path / "study").glob("*.yaml")}
    other = copied(tiny_corpus_dir, tmp_path / "other", lambda text: "\n".join(text.splitlines()[:-1]) + "\n")
    criteria = tmp_path / "criteria.json"
    for option, says in (
        (f"--data.path={other}", f"was begun with another corpus than {other} (data.criteria included) on "),
        (f"--data.criteria={criteria}", "was begun with another corpus than "),
    ):
        criteria.write_text(_criteria(), encoding="utf-8")
        capfd.readouterr()
        assert begun(option) == 2
        err = capfd.readouterr().err
        assert says in err
        assert err.endswith("--study-dir NEW\n")
    assert {path: path.read_bytes() for path in (tmp_path / "study").glob("*.yaml")} == before


def _criteria():
    from importlib.resources import files

    text = (files("redsm5.datamodules") / "dsm5.json").read_text(encoding="utf-8")
    return text.replace("sleep", "slumber")


def test_study_of_an_earlier_version_is_accepted_with_a_note(begun, tmp_path, capfd):
    assert begun() == 130
    url = f"sqlite:///{tmp_path}/study/study.db"
    storage = open_storage(url)
    plan = storage.get_study_system_attrs(1)[PLAN]
    storage.set_study_system_attr(1, PLAN, {k: v for k, v in plan.items() if not k.endswith("sha256")})
    capfd.readouterr()
    assert begun() == 130
    assert "was begun by an earlier version, which did not note its corpus" in capfd.readouterr().err
    storage.set_study_system_attr(1, PLAN, {**plan, "split_sha256": "another"})
    storage.engine.dispose()
    assert begun() == 2
    assert "was begun with another split than that of " in capfd.readouterr().err


def test_budget_is_the_commands_and_no_workers(tiny_corpus_dir, tiny_encoder, tmp_path, begun):
    assert begun() == 130
    args = search_options(tiny_corpus_dir, tiny_encoder, tmp_path)()
    parsed = {"space": str(tmp_path / "space.yaml"), "study_dir": str(tmp_path / "study"), "n_trials": 3}
    settings, rest = read_settings(["--config", str(tmp_path / "hpo.yaml"), *args[7:]], parsed, tmp_path)
    open_study(settings, rest, lambda _: None)
    assert load_study(settings).budget() == 3
    study = open_study(replace(settings, n_trials=9), rest, lambda _: None, as_worker=True)
    assert study.budget() == 3
    assert load_study(settings).settings.n_trials == 3


def test_study_that_another_command_begins_meanwhile_is_gone_on_with(
    tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch
):
    args = search_options(tiny_corpus_dir, tiny_encoder, tmp_path)()
    parsed = {"space": str(tmp_path / "space.yaml"), "study_dir": str(tmp_path / "study"), "n_trials": 3}
    settings, rest = read_settings(["--config", str(tmp_path / "hpo.yaml"), *args[7:]], parsed, tmp_path)
    refuse, others = study_module.refuse_trials, []

    def begun_meanwhile(folder):
        monkeypatch.setattr(study_module, "refuse_trials", refuse)
        others.append(open_study(settings, rest, lambda _: None))
        refuse(folder)

    monkeypatch.setattr(study_module, "refuse_trials", begun_meanwhile)
    study = open_study(settings, rest, lambda _: None)
    assert study.plan == others[0].plan
    assert len(study.storage.get_all_studies()) == 1


def test_objective_without_a_test_figure_is_said(begun, capfd):
    assert begun("--objective", "val_loss") == 130
    assert "val_loss has no figure on the test part" in capfd.readouterr().err


class Board:
    def update(self, records):
        self.records = records

    def note(self, line):
        pass


class Idle:
    def __init__(self):
        self.asked = False

    def ending(self):
        return 130 if self.asked else None

    def interrupt(self):
        self.asked = True


def test_command_judges_the_failures_of_all_workers_since_it_began(tmp_path, monkeypatch):
    def records(*states):
        return Records(tuple(report(n, None if s == "FAIL" else 0.5, s) for n, s in enumerate(states)), (), 0)

    before = records(*["FAIL"] * 9)
    looks = [before, records(*["FAIL"] * 9, *["COMPLETE"] * 7, *["FAIL"] * 3)]
    study = Namespace(
        settings=settings_of(tmp_path, workers=1, n_trials=40), folder=tmp_path, optuna=None, budget=lambda: 40
    )
    known = []
    monkeypatch.setattr("redsm5.hpo.records.read_records", lambda _, reports: known.append(reports) or looks.pop(0))
    monkeypatch.setattr("redsm5.hpo.workers.POLL", 0.0)
    worker = Idle()
    with pytest.raises(UserError, match="3 of 10 trials have failed"):
        hpo._run_workers(study, lambda number: worker, Board(), before)
    assert worker.asked
    assert known[0] is known[1]  # reports that were read are not read again


def test_worker_whose_database_is_away_ends_with_a_code_of_its_own(
    tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr("redsm5.hpo.worker_process.end_when_told", lambda: None)
    monkeypatch.setattr(study_module, "WORKER_PATIENCE", 0.0)
    options = search_options(tiny_corpus_dir, tiny_encoder, tmp_path)
    args = options("--storage", "postgresql://me:secret@127.0.0.1:1/d", "--as-worker", __version__, boot_id())
    assert main(args) == 75
    said = capfd.readouterr().err.splitlines()
    assert said[-1].startswith("redsm5: error: cannot use the database postgresql+psycopg://me:***@127.0.0.1:1/d: ")


def test_status_answers_while_a_worker_that_is_stopped_holds_the_database(begun, tmp_path, capfd):
    assert begun() == 130
    capfd.readouterr()
    with closing(sqlite3.connect(tmp_path / "study" / "study.db", isolation_level=None)) as stopped:
        stopped.execute("BEGIN IMMEDIATE")
        assert main(["hpo", "status", "--study-dir", str(tmp_path / "study")]) == 0
    assert capfd.readouterr().out.startswith("0 of 7 trials ended")


def test_database_that_is_away_is_a_sentence_in_status_and_at_the_start(begun, tmp_path, monkeypatch, capfd):
    def away(*_):
        raise exc.OperationalError("SELECT", {}, Exception("server closed the connection"))

    assert begun() == 130
    for name, value in (("LOOK_PATIENCE", 0.0), ("PATIENCE", 0.0)):
        monkeypatch.setattr(study_module, name, value)
    monkeypatch.setattr(storage_module.time, "sleep", lambda _: None)
    with monkeypatch.context() as patch:
        patch.setattr("redsm5.hpo.records.read_records", away)
        capfd.readouterr()
        assert main(["hpo", "status", "--study-dir", str(tmp_path / "study")]) == 2
        assert "the database does not answer: server closed the connection" in capfd.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(study_module, "_stored_plan", away)
        for args in (["hpo", "status"], ["hpo", "choose", "--trial", "1"], ["report", str(tmp_path / "study")]):
            more = ["--study-dir", str(tmp_path / "study")] if args[0] == "hpo" else []
            assert main([*args, *more]) == 2
            assert "the database does not answer: server closed" in capfd.readouterr().err
    monkeypatch.setattr(Slots, "__init__", away)
    assert begun() == 2
    assert "the database does not answer: server closed" in capfd.readouterr().err


def test_actions_read_the_default_config_as_the_search_does(begun, tmp_path, monkeypatch, capfd):
    assert begun() == 130
    capfd.readouterr()
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "hpo.yaml").write_text("hpo: {study_dir: study}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["hpo", "status"]) == 0
    assert capfd.readouterr().out.startswith("0 of 7 trials ended")
    assert main(["hpo", "status", "--study-dir", "none"]) == 2
