"""The database of a study: a URL -> Optuna's storage, set up so that several workers can rely on it."""

from __future__ import annotations

import logging
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import URL, Connection, create_engine, event, inspect, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    PendingRollbackError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from redsm5.errors import MachineFault, UserError
from redsm5.hpo.mounts import network_file_system

T = TypeVar("T")

DRIVERS = {"postgresql": ("psycopg", "postgresql"), "mysql": ("pymysql", "mysql"), "mariadb": ("pymysql", "mysql")}
"""Of the servers: the driver, and the extra that installs it."""
BUSY_SECONDS = 60
"""How long a worker waits for the others' transactions, each of a few milliseconds."""
SILENT_SECONDS = 30
"""A connection silent amid a transaction is closed by the server after this: its locks would hold up all workers."""
RACES = (
    sqlite3.OperationalError, IntegrityError, OperationalError, ProgrammingError, StorageInternalError, AssertionError
)  # fmt: skip
"""What setting up raises when another worker does so at the same moment."""

AWAY = (OperationalError, InterfaceError, PoolTimeout, PendingRollbackError)
"""What a lost connection raises; the last where Optuna asks again over the same one."""

UNWRITABLE = ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_CANTOPEN")
"""SQLite's words for what no later try mends."""


REFUSALS = ("authentication failed", "pg_hba.conf", "does not exist", "Access denied", "Unknown database")
"""In what a server answers to a connection that no later try mends."""
LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED")
"""SQLite's words for a file that another process holds."""
LOOK_SECONDS = 5
"""How long somebody who only looks waits for the others' transactions."""


class Away(Exception):
    """The database does not answer for now; nothing is known of what was asked of it last."""


class DatabaseAway(UserError):
    """The database does not answer, and a later try may succeed."""


@contextmanager
def reaching() -> Iterator[None]:
    """Tell a database that is away from a mistake in what it was asked.

    Raises:
        Away: A later try may succeed.
        MachineFault: The file of the database cannot be written.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        if getattr(getattr(cause, "orig", None), "sqlite_errorname", "").startswith(UNWRITABLE):
            raise MachineFault(
                f"the file of the database cannot be written: {_reason(cause)}; make room or mend the disk, and the "
                "same command goes on"
            ) from error
        cut_off = isinstance(cause, DBAPIError) and cause.connection_invalidated  # of whatever class
        if cut_off or isinstance(cause, AWAY):
            raise Away(_reason(cause)) from error
        raise


def insist(call: Callable[[], T], *, until: Callable[[], bool] = lambda: False, most: float = 5.0) -> T:
    """Call what may find the database away again and again: for what is the same when done twice.

    Args:
        call: May raise ``Away``.
        until: Whether to give up.
        most: Seconds between two tries at the most.

    Raises:
        Away: It was given up.
    """
    pause = 0.1
    while True:
        try:
            return call()
        except Away:
            if until():
                raise
            time.sleep(random.uniform(pause / 2, pause))
            pause = min(most, 2 * pause)


def patiently(call: Callable[[], T], seconds: float) -> T:
    """Call what may find the database away, for so long.

    Raises:
        DatabaseAway: It stays away.
    """
    until = time.monotonic() + seconds

    def reached() -> T:
        with reaching():
            return call()

    try:
        return insist(reached, until=lambda: time.monotonic() > until)
    except Away as away:
        raise DatabaseAway(f"the database does not answer: {away}; the same command goes on") from away


NAME_IT = "name that of the study, as it was begun, with --storage"


def open_storage_patiently(url: str, seconds: float, tell: Callable[[str], None]) -> RDBStorage:
    """Open a database that was there a moment ago, and may be away for so long.

    Raises:
        DatabaseAway: It stays away.
        UserError: It cannot be used.
    """
    until, pause, said = time.monotonic() + seconds, 1.0, False
    while True:
        try:
            return open_storage(url)
        except DatabaseAway as away:
            if time.monotonic() > until:
                raise
            if not said:
                tell(f"{away}; trying again")
            said = True
            time.sleep(random.uniform(pause / 2, pause))
            pause = min(30.0, 2 * pause)


def open_to_look(url: str) -> RDBStorage:
    """Open a database that is there already, to read it: a file also while another process writes it, or is stopped.

    Raises:
        UserError: It cannot be used.
    """
    return open_storage(url, look=True)


def open_storage(url: str, *, look: bool = False) -> RDBStorage:
    """Open, and set up where it is new, the database of a study.

    Args:
        url: ``sqlite:///study.db``, ``postgresql://...`` or ``mysql://...``.
        look: Only to read: the database must hold a study, and transactions on a file do not wait for those that
            write.

    Raises:
        DatabaseAway: It does not answer.
        UserError: It cannot be used; the sentence never holds the password.
    """
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)  # its tracebacks of lost connections; ours say Away
    parsed = _parsed(url)
    name = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() == "sqlite":
        if not look:
            _prepare_file(parsed)
        elif not Path(str(parsed.database)).is_file():
            raise UserError(f"there is no database {parsed.database}; {NAME_IT}")
    try:
        _refuse_foreign(parsed, name, empty=not look)
        return created_once(lambda: _opened(parsed, look))
    except ImportError:
        driver, extra = DRIVERS[parsed.get_backend_name()]
        raise UserError(
            f"--storage {name} needs the package {driver}, which is not installed; install redsm5[{extra}]"
        ) from None
    except RuntimeError as error:  # Optuna's word for tables of another version
        raise UserError(
            f"the database {name} was set up by another version of optuna; install that version, give another "
            f"--storage, or move it on with optuna storage upgrade --storage URL"
        ) from error
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = _reason(cause, parsed.password)
        failure = DatabaseAway if _may_come_back(cause) else UserError
        raise failure(
            f"cannot use the database {name}: {reason}; check that it is there and --storage names it rightly"
        ) from None  # the cause holds the password


def created_once(create: Callable[[], T], tries: int = 8) -> T:
    """Call what sets a database up, again where another worker got in its way.

    Args:
        create: Leaves alone what is there already.
        tries: Before its error is given on.
    """
    for _ in range(tries - 1):
        try:
            return create()
        except RACES as error:
            if isinstance(error, OperationalError) and error.connection_invalidated:
                raise
            time.sleep(random.uniform(0.05, 0.3))
    return create()


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError):
        backend = ""
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:") or (parsed.database or "").startswith("file:"):
            raise UserError("--storage sqlite:// names no file; write sqlite:///runs/study.db")
        return parsed.set(drivername="sqlite")
    if backend not in DRIVERS:
        raise UserError(
            "--storage is no database that a study can be in; write sqlite:///FILE, "
            "postgresql://USER:PASSWORD@HOST/DATABASE or mysql://USER:PASSWORD@HOST/DATABASE"
        )
    if not parsed.database:
        name = parsed.render_as_string(hide_password=True)
        raise UserError(f"--storage {name} names no database; add its name after the host, as in .../redsm5")
    if "+" in parsed.drivername:
        return parsed
    return parsed.set(drivername=f"{backend}+{DRIVERS[backend][0]}")


def _prepare_file(url: URL) -> None:
    path = Path(str(url.database))
    kind = network_file_system(path)
    if kind is not None:
        raise UserError(
            f"{path} lies on a network file system ({kind}), where SQLite loses data; give a --storage on a local "
            f"disk, or postgresql://... for several machines"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = created_once(lambda: _write_ahead(path))
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        failure = DatabaseAway if getattr(error, "sqlite_errorname", "").startswith(LOCKED) else UserError
        raise failure(
            f"cannot use {path} as the database of a study: {reason}; give another --storage sqlite:///FILE"
        ) from error
    if mode != "wal":
        raise UserError(
            f"{path} lies on a file system without the shared memory that SQLite needs for several workers; "
            f"give a --storage on a local disk"
        )


def _write_ahead(path: Path) -> str:
    """Give a database a write-ahead log, so that readers never wait for writers; the mode that it has then."""
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        mode = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
        return mode if mode == "wal" else str(connection.execute("PRAGMA journal_mode=WAL").fetchone()[0])


def _refuse_foreign(url: URL, name: str, *, empty: bool) -> None:
    engine = create_engine(url, connect_args=_connect_args(url))
    try:
        tables = set(inspect(engine).get_table_names())
    finally:
        engine.dispose()
    if not tables and not empty:
        raise UserError(f"the database {name} is empty; {NAME_IT}")
    # Every table of a half-made study is one of these.
    if tables and not tables & {"studies", "version_info", "study_directions"}:
        raise UserError(
            f"the database {name} holds tables of something else ({min(tables)}); give an empty one as --storage"
        )


def _may_come_back(cause: BaseException | None) -> bool:
    """Whether a database that could not be opened may only be away: nothing said that it cannot be used so."""
    if not isinstance(cause, AWAY):
        return False
    word = getattr(getattr(cause, "orig", None), "sqlite_errorname", None)
    return word.startswith(LOCKED) if word else not any(refusal in str(cause) for refusal in REFUSALS)


def _opened(url: URL, look: bool) -> RDBStorage:
    full = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")  # Optuna formats it
    kwargs: dict[str, Any] = {"connect_args": _connect_args(url)}
    if look and url.get_backend_name() == "sqlite":
        kwargs["connect_args"] = {"timeout": LOOK_SECONDS}
    if url.get_backend_name() != "sqlite":
        kwargs["pool_pre_ping"] = True  # connections from before a restart of the server are put away
    storage = RDBStorage(full, engine_kwargs=kwargs)
    storage.engine.dispose()  # its connections so far are without what follows
    event.listen(storage.engine, "connect", _CONNECT[url.get_backend_name()])
    if url.get_backend_name() == "sqlite" and look:
        event.listen(storage.engine, "begin", _begin_deferred)
    elif url.get_backend_name() == "sqlite":
        event.listen(storage.engine, "begin", _begin_immediate)
    return storage


def _connect_args(url: URL) -> dict[str, Any]:
    """No call hangs for ever on a host that is gone: a worker would hold its slot without knowing."""
    match url.get_driver_name():
        case "pysqlite":
            return {"timeout": BUSY_SECONDS}
        case "psycopg" | "psycopg2":
            limits = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
            return {"connect_timeout": 10, "tcp_user_timeout": 1000 * SILENT_SECONDS, **limits}
        case "pymysql":
            return {"connect_timeout": 10, "read_timeout": BUSY_SECONDS, "write_timeout": BUSY_SECONDS}
        case _:
            return {}


def _connect_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # the module would begin transactions by itself, and too late
    connection.execute("PRAGMA synchronous=NORMAL")  # a power cut takes the last transactions, all workers with them


def _connect_postgresql(connection: Any, record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = {1000 * SILENT_SECONDS}")
        cursor.execute(f"SET lock_timeout = {1000 * BUSY_SECONDS}")
    connection.commit()


def _connect_mysql(connection: Any, record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION wait_timeout = {SILENT_SECONDS}")
    connection.commit()


_CONNECT = {
    "sqlite": _connect_sqlite,
    "postgresql": _connect_postgresql,
    "mysql": _connect_mysql,
    "mariadb": _connect_mysql,
}


def _begin_immediate(connection: Connection) -> None:
    # A transaction that reads first and writes then would be refused, not made to wait, when another wrote meanwhile.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_deferred(connection: Connection) -> None:
    # Reading holds nobody up, and waits for nobody.
    connection.exec_driver_sql("BEGIN")


def _reason(error: BaseException | None, password: object = None) -> str:
    text = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    line = text.splitlines()[0] if text else type(error).__name__
    return line.replace(str(password), "***") if password else line
