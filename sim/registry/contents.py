"""What a database holds: nothing, an MLflow store that is whole, one that was begun and not finished, or something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

_REVISION = "alembic_version"
_FIRST = "experiments"
_KEPT = {"runs": "", "registered_models": "", _FIRST: "WHERE experiment_id <> 0"}


@dataclass(frozen=True)
class Contents:
    """The tables of a database, those that MLflow expects, and whether runs, models or experiments of somebody are in it.

    `finished` is whether MLflow noted a version of its tables: it does so in the migration that makes them.
    """

    tables: frozenset[str]
    expected: frozenset[str]
    finished: bool
    holds: bool

    @property
    def whole(self) -> bool:
        """Whether it can be opened; MLflow itself says if it is of another version."""
        return self.finished and self.expected <= self.tables

    @property
    def foreign(self) -> bool:
        """Whether it has tables, and none that MLflow begins with."""
        return bool(self.tables) and not self.tables & {_REVISION, *_KEPT}


def look(engine: Engine) -> Contents:
    """What the database of an engine holds. Changes nothing."""
    import mlflow.store.db.utils  # noqa: F401  which registers all tables
    import sqlalchemy
    from mlflow.store.db.base_sql_model import Base

    tables = frozenset(sqlalchemy.inspect(engine).get_table_names())
    with engine.connect() as connection:

        def any_row(table: str, where: str = "") -> bool:
            # Names of tables are from this file.
            count = connection.execute(sqlalchemy.text(f"SELECT COUNT(*) FROM {table} {where}")).scalar_one()
            return bool(count)

        finished = _REVISION in tables and any_row(_REVISION)
        holds = any(any_row(table, where) for table, where in _KEPT.items() if table in tables)
    return Contents(tables, frozenset(Base.metadata.tables), finished, holds)
