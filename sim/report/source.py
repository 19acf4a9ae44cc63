"""Read and check the files of a run folder for a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sim.arrays import Floats
from sim.compare.result import Comparison, PointComparison
from sim.compare.summary import read_summary
from sim.errors import InputError, Problem
from sim.run.record import Record, read_run


@dataclass(frozen=True)
class Source:
    """A finished (or interrupted) run: `summary.json` with `run.json`, the scenario's text and the timeline.

    `timeline` holds, for each policy of a run of one point, its columns as arrays (T,) of the T ticks that were kept.
    """

    comparison: Comparison
    scenario: str
    timeline: dict[str, dict[str, Floats]]

    @property
    def run(self) -> Record:
        """The record in `run.json`."""
        return self.comparison.run

    @property
    def only(self) -> PointComparison | None:
        """The point of a run with one point, for charts over time; None if there are several points."""
        return self.comparison.points[0] if len(self.comparison.points) == 1 else None


def read(folder: Path) -> Source:
    """Read the files that a report shows. Raises `InputError` naming every file that is missing or unreadable."""
    problems: list[Problem] = []
    contents: dict[str, Any] = {}

    def summary(file: Path) -> Comparison | None:
        # If run.json cannot be read, that problem is reported already.
        return read_summary(file.parent, contents["run.json"]) if "run.json" in contents else None

    readers: dict[str, Callable[[Path], Any]] = {
        "run.json": lambda file: read_run(file.parent),
        "summary.json": summary,
        "scenario.yaml": lambda file: file.read_text(encoding="utf-8"),
        "timeline.parquet": _timeline,
    }
    if not folder.is_dir():
        # Raises an error that tells a missing folder from a file.
        read_run(folder)
    for name, reader in readers.items():
        file = folder / name
        if not file.is_file():
            problems.append(Problem("no such file; a report needs a run folder, as sim run leaves it", file=str(file)))
            continue
        try:
            contents[name] = reader(file)
        except InputError as error:
            problems += error.problems
        # pyarrow raises ValueErrors and OSErrors; a UTF-8 error is a ValueError.
        except (OSError, ValueError, KeyError) as error:
            problems.append(Problem(f"cannot be read: {error}", file=str(file)))
    if problems:
        raise InputError(problems)
    run: Record = contents["run.json"]
    # The timelines of several points would be mixed up.
    timeline = contents["timeline.parquet"] if len(run.points) == 1 else {}
    wanted = {f"{kind}.{arm}.mean" for arm in run.arms for kind in ("weight", "mirror")}
    if missing := sorted({name for columns in timeline.values() for name in wanted.difference(columns)}):
        message = f"lacks the columns {', '.join(missing)} of the arms of run.json"
        raise InputError([Problem(message, file=str(folder / "timeline.parquet"))])
    return Source(contents["summary.json"], contents["scenario.yaml"], timeline)


def _timeline(file: Path) -> dict[str, dict[str, Floats]]:
    import pyarrow.parquet as parquet

    with file.open("rb") as opened:
        table = parquet.read_table(opened)
    labels = [name for name in table.column_names if name in ("policy", "point") or name.startswith("sweep.")]
    policy = np.asarray(table["policy"].to_pylist(), dtype=object)
    columns = {name: table[name].to_numpy().astype(np.float64) for name in table.column_names if name not in labels}
    return {name: {key: values[policy == name] for key, values in columns.items()} for name in dict.fromkeys(policy.tolist())}
