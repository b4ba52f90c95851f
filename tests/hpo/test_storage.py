import multiprocessing
import sqlite3
import threading

import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.study import StudyDirection
from sqlalchemy import exc

from redsm5.errors import UserError
from redsm5.hpo import storage as storage_module
from redsm5.hpo.mounts import network_file_system
from redsm5.hpo.storage import (
    Away,
    DatabaseAway,
    insist,
    open_storage,
    open_storage_patiently,
    open_to_look,
    reaching,
)

MOUNTS = r"""
overlay / overlay rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb /home/local\040disk ext4 rw 0 0
tmpfs /mnt tmpfs rw 0 0
//host/share /mnt cifs rw 0 0
me@host: /remote fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/study.db", None),
        ("/home/me/runs/study.db", "nfs4"),
        ("/home/local disk/study.db", None),
        ("/home/local diskette/study.db", "nfs4"),
        ("/mnt/study.db", "cifs"),
        ("/remote/a/b/study.db", "fuse.sshfs"),
        ("/homely/study.db", None),
    ],
)
def test_network_file_system_is_that_of_the_innermost_and_latest_mount(tmp_path, path, kind):
    assert network_file_system(tmp_path.joinpath(path), MOUNTS) == kind


def test_network_file_system_follows_links(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "far")
    table = f"/dev/sda / ext4 rw 0 0\nserver:/x {tmp_path}/far nfs rw 0 0\n"
    assert network_file_system(tmp_path / "link" / "study.db", table) == "nfs"


def test_open_storage_refuses_a_network_file_system(tmp_path, monkeypatch):
    monkeypatch.setattr(storage_module, "network_file_system", lambda path: "nfs4")
    with pytest.raises(UserError, match=r"network file system \(nfs4\).*postgresql://"):
        open_storage(f"sqlite:///{tmp_path}/s.db")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("study.db", "is no database"),
        ("oracle://h/d", "is no database"),
        ("postgresql://host:port/db", "is no database"),
        ("journal:///x.log", "is no database"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql://me:secret@127.0.0.1:1", r"me:\*\*\*@127.0.0.1:1 names no database"),
        ("postgresql://me:secret@127.0.0.1:1/d", r"cannot use .*me:\*\*\*@127.0.0.1:1/d: .*refused"),
        ("postgresql+psycopg2://me:secret@127.0.0.1/d", r"psycopg.* install redsm5\[postgresql\]"),
        ("mysql://me:secret@127.0.0.1/d", r"pymysql.* install redsm5\[mysql\]"),
        ("sqlite:////proc/none/s.db", "cannot use /proc/none/s.db"),
    ],
)
def test_open_storage_refuses_in_one_sentence_without_the_password(url, says):
    if url.startswith("mysql"):
        try:
            import pymysql  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("the driver is installed")
    with pytest.raises(UserError, match=says) as raised:
        open_storage(url)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_open_storage_refuses_a_file_that_is_no_database(tmp_path):
    (tmp_path / "s.db").write_text("post_id,text\n" * 100)
    with pytest.raises(UserError, match="not a database"):
        open_storage(f"sqlite:///{tmp_path}/s.db")


def test_open_storage_refuses_the_database_of_something_else(tmp_path):
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute("CREATE TABLE experiments (id INTEGER)")
    with pytest.raises(UserError, match=r"tables of something else \(experiments\)"):
        open_storage(f"sqlite:///{tmp_path}/s.db")
    with sqlite3.connect(tmp_path / "s.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("experiments",)]


def test_look_at_a_database_changes_nothing_in_it(tmp_path):
    path = tmp_path / "s.db"
    with pytest.raises(UserError, match=r"there is no database .*s.db; name that of the study, as it was begun"):
        open_to_look(f"sqlite:///{path}")
    assert not path.exists()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 7")
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"the database .*s.db is empty; name that of the study"):
        open_to_look(f"sqlite:///{path}")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["s.db"]


def test_open_storage_refuses_tables_of_another_version(tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    open_storage(url)
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    with pytest.raises(UserError, match="another version of optuna"):
        open_storage(url)


def test_open_storage_opens_what_plain_optuna_made_and_the_other_way_round(tmp_path):
    import optuna

    url = f"sqlite:///{tmp_path}/s.db"
    study = optuna.create_study(storage=url, study_name="plain")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    opened = open_storage(url)
    assert len(opened.get_all_trials(opened.get_study_id_from_name("plain"))) == 3
    opened.create_new_study([StudyDirection.MAXIMIZE], "ours")
    assert optuna.get_all_study_names(url) == ["plain", "ours"]


def test_sqlite_is_set_up_for_several_workers(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/deep/er/s.db")
    with storage.engine.connect() as connection:
        values = [connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "synchronous")]
        assert values == ["wal", 1]
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000


def test_sqlite_transactions_that_read_and_then_write_wait_for_each_other(tmp_path):
    """With a plain BEGIN both would read 0, and the second be refused or lose the first's increment."""
    storage = open_storage(f"sqlite:///{tmp_path}/s.db")
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE n (value INTEGER)")
        connection.exec_driver_sql("INSERT INTO n VALUES (0)")
    errors = []

    def increment():
        try:
            for _ in range(25):
                with storage.engine.begin() as connection:
                    value = connection.exec_driver_sql("SELECT value FROM n").scalar()
                    connection.execute(sqlalchemy.text("UPDATE n SET value = :v"), {"v": value + 1})
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=increment) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with storage.engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT value FROM n").scalar() == 100


def test_braces_in_a_path_are_no_template(tmp_path):
    open_storage(f"sqlite:///{tmp_path}/{{a}}.db")
    assert (tmp_path / "{a}.db").exists()


GONE = Exception("server closed the connection\nunexpectedly")


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (exc.OperationalError("q", {}, GONE), True),
        (exc.InterfaceError("q", {}, GONE), True),
        (exc.InternalError("q", {}, GONE, connection_invalidated=True), True),
        (exc.PendingRollbackError("rollback first"), True),
        (exc.TimeoutError("no connection of the pool is free"), True),
        (exc.InternalError("q", {}, GONE), False),
        (exc.IntegrityError("q", {}, GONE), False),
        (exc.DataError("q", {}, GONE), False),
        (exc.ProgrammingError("q", {}, GONE), False),
    ],
)
def test_reaching_tells_a_database_that_is_away_from_a_mistake(error, away):
    wrapped = StorageInternalError("An exception is raised during the commit.")
    wrapped.__cause__ = error
    for raised in (error, wrapped):
        with pytest.raises(Away if away else type(raised)) as caught, reaching():
            raise raised
        assert "\n" not in str(caught.value) or not away


def test_insist_tries_until_the_database_answers():
    answers = iter([Away("1"), Away("2"), "done"])

    def call():
        answer = next(answers)
        if isinstance(answer, Away):
            raise answer
        return answer

    assert insist(call, most=0.01) == "done"
    assert next(answers, "none left") == "none left"


def test_insist_gives_up_when_it_is_told_to_and_raises_what_is_no_outage():
    tries = []

    def call():
        tries.append(1)
        raise Away("gone")

    with pytest.raises(Away, match="gone"):
        insist(call, until=lambda: len(tries) == 3, most=0.01)
    assert len(tries) == 3
    with pytest.raises(KeyError):
        insist(lambda: {}["study"])


def _open(url, start, results):
    start.wait()
    try:
        open_storage(url)
        results.put("")
    except Exception as error:
        results.put(repr(error))


def test_workers_that_open_a_new_database_at_once_all_succeed(tmp_path):
    context = multiprocessing.get_context("fork")
    start, results = context.Event(), context.Queue()
    url = f"sqlite:///{tmp_path}/s.db"
    workers = [context.Process(target=_open, args=(url, start, results)) for _ in range(6)]
    for worker in workers:
        worker.start()
    start.set()
    assert [results.get(timeout=60) for _ in workers] == [""] * 6
    for worker in workers:
        worker.join()


def test_database_that_comes_back_is_waited_for(monkeypatch):
    opened, said = iter([DatabaseAway("away"), DatabaseAway("away"), "open"]), []

    def open_one(url):
        found = next(opened)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(storage_module, "open_storage", open_one)
    monkeypatch.setattr(storage_module.time, "sleep", lambda seconds: None)
    assert open_storage_patiently("x", 60.0, said.append) == "open"
    assert said == ["away; trying again"]


@pytest.mark.parametrize(
    ("message", "may"),
    [
        ("connection to server at h failed: Connection refused", True),
        ("FATAL:  the database system is starting up", True),
        ("FATAL:  password authentication failed for user me", False),
        ('FATAL:  database "d" does not exist', False),
        ("(1045, \"Access denied for user 'me'\")", False),
    ],
)
def test_what_a_later_try_may_mend_is_told_from_what_it_does_not(message, may):
    assert storage_module._may_come_back(exc.OperationalError("", {}, Exception(message))) is may
