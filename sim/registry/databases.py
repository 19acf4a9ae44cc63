"""Stores in a database server: reached quickly or not at all, and their tables made by one process at a time."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.errors import TrackingError
from sim.registry.addresses import DATABASES, shown
from sim.registry.answers import reaching
from sim.registry.contents import look

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_CONNECT_S = 5
_WAIT_S = 60.0
_POLL_S = 0.2


@dataclass(frozen=True)
class _Lock:
    """How a database locks a name for one connection, and says who has it."""

    introduce: str
    take: str
    holder: str


# A key of PostgreSQL's locks is a number, in one database; a name of MySQL's is for the whole server.
_LOCKS = {
    "postgresql": _Lock(
        introduce="SELECT set_config('application_name', :who, false)",
        take="SELECT pg_try_advisory_lock(7268395120463751294)",
        holder="SELECT application_name || ', server process ' || l.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
        "AND (l.classid::bigint << 32 | l.objid::bigint) = 7268395120463751294",
    ),
    "mysql": _Lock(
        introduce="SELECT :who",
        take="SELECT GET_LOCK(CONCAT('rollout-sim ', MD5(DATABASE())), 0)",
        holder="SELECT CONCAT('connection ', IS_USED_LOCK(CONCAT('rollout-sim ', MD5(DATABASE()))))",
    ),
}


def is_database(uri: str) -> bool:
    """Whether a URI is of a database server."""
    return uri.partition(":")[0].partition("+")[0] in DATABASES[1:]


def prepare(uri: str) -> None:
    """Make MLflow's tables in a database that has none.

    One process makes them, and others wait for it, for at most a minute; SQL Server has no such lock here. Raises
    `TrackingError` where the database cannot be reached in 5 s, where the wait is too long, and where the tables are of an
    earlier version of MLflow: a shared database is not changed for everybody by the way.
    """
    with reaching(uri), _engine(uri) as engine:
        if look(engine).whole:
            return
        with _alone(engine, uri):
            contents = look(engine)
            if contents.whole:
                return
            if contents.finished or contents.holds:
                advice = "back it up, then run `mlflow db upgrade` on it"
                what = "lacks tables, as one of an earlier version of MLflow does"
                raise TrackingError(f"the store {shown(uri)} {what}: {advice}")
            _fill(uri, begun=bool(contents.tables & contents.expected))


def _fill(uri: str, *, begun: bool) -> None:
    from mlflow import MlflowClient

    try:
        MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
    except Exception as error:
        if not begun:
            raise
        raise TrackingError(
            f"the store {shown(uri)} was begun and never finished, by a command that was interrupted, and MLflow cannot go on "
            f"with it ({type(error).__name__}). It holds no run and no model: make the database anew"
        ) from None


@contextlib.contextmanager
def _engine(uri: str) -> Iterator[Engine]:
    """An engine with MLflow's settings, but a bounded wait for a connection."""
    from mlflow.store.db.utils import create_sqlalchemy_engine
    from sqlalchemy.engine import make_url

    url = make_url(uri)
    if url.get_backend_name() in _LOCKS and "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": str(_CONNECT_S)})
    engine: Engine = create_sqlalchemy_engine(url.render_as_string(hide_password=False))  # type: ignore[no-untyped-call]
    try:
        yield engine
    finally:
        engine.dispose()


@contextlib.contextmanager
def _alone(engine: Engine, uri: str) -> Iterator[None]:
    """Let one process in at a time, for as long as its connection lasts."""
    lock = _LOCKS.get(engine.dialect.name)
    if lock is None:
        yield
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        _wait(connection, lock, uri)
        try:
            yield
        finally:
            # Closed and not given back to the pool: the lock ends with the connection.
            connection.invalidate()


def _wait(connection: Connection, lock: _Lock, uri: str) -> None:
    from sqlalchemy import text

    connection.execute(text(lock.introduce), {"who": f"sim {os.getpid()} on {platform.node()}"[:60]})
    until = time.monotonic() + _WAIT_S
    while not connection.execute(text(lock.take)).scalar():
        if time.monotonic() > until:
            holder = connection.execute(text(lock.holder)).scalar() or "which has just ended"
            raise TrackingError(
                f"the store {shown(uri)} cannot be used: another process has been making its tables for {_WAIT_S:.0f} s "
                f"({holder}): let it end, or stop it"
            )
        time.sleep(_POLL_S)
