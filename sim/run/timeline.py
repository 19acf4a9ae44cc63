"""`timeline.parquet` of a run folder, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Floats
from sim.errors import InputError, Problem
from sim.run.held import check_intact
from sim.run.record import Record
from sim.tables import Column, Groups, Kind, Schema, columns, read_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FILE = "timeline.parquet"
PERCENTS = (5, 25, 50, 75, 95)
"""The quantiles over replications that are kept: of what half of the trials, and what nine tenths, are between."""
LEVELS = ("mean", *(f"q{percent:02d}" for percent in PERCENTS))
_SHARE, _GAPS = Column(Kind.NUMBER), Column(Kind.NUMBER, gaps=True)
_ENDED = ("decided", "shipped", "kept", "inconclusive")


def schema(run: Record) -> Schema:
    """The columns of the timeline of a run of one point; those of a sweep stand beside them."""
    return {
        "policy": Column(Kind.TEXT, choices=tuple(policy.name for policy in run.policies)),
        "tick": Column(Kind.WHOLE),
        "time_s": _SHARE,
        **dict.fromkeys(_ENDED, _SHARE),
        **{f"regret_{level}": _SHARE for level in LEVELS},
        **{f"weight.{arm}.{level}": _SHARE for arm in run.arms for level in LEVELS},
        **{f"mirror.{arm}.mean": _GAPS for arm in run.arms},
    }


def read_timeline(folder: Path, run: Record) -> dict[str, dict[str, Floats]]:
    """The columns of each policy that has rows, by name: (T,) arrays of the T ticks that were kept, in their order.

    Empty for a run of several points, whose timelines cannot be shown in one. Raises `InputError` with every problem.
    """
    file = folder / FILE
    check_intact(file, run)
    if len(run.points) > 1:
        # It may be long, and only has to be one.
        Groups(file)
        return {}
    return _by_policy(read_table(file), run, str(file))


def timeline_of(frame: pd.DataFrame, run: Record) -> dict[str, dict[str, Floats]]:
    """`read_timeline` for a table in memory, of a run of one point."""
    import pyarrow as pa

    return _by_policy(pa.Table.from_pandas(frame, preserve_index=False), run, "timeline")


def _by_policy(table: pa.Table, run: Record, file: str) -> dict[str, dict[str, Floats]]:
    arrays = columns(table, schema(run), file)
    policy, tick = arrays.pop("policy"), arrays["tick"]
    found = {name: policy == name for name in dict.fromkeys(policy.tolist())}
    back = [name for name, rows in found.items() if (np.diff(tick[rows]) <= 0).any() or (tick[rows] < 0).any()]
    if back:
        raise InputError([Problem(f"tick must increase from row to row of a policy, unlike in {back[0]}", file=file)])
    shares = [*_ENDED, *(f"weight.{arm}.{level}" for arm in run.arms for level in LEVELS)]
    # Means of shares may miss their bounds by a last digit.
    odd = [name for name in shares if (np.abs(arrays[name] - 0.5) > 0.5 + 1e-6).any()]
    if odd:
        raise InputError([Problem(f"{odd[0]} must lie between 0 and 1", file=file)])
    return {name: {key: values[rows].astype(np.float64) for key, values in arrays.items()} for name, rows in found.items()}
