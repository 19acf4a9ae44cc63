"""What a report is made of: the files of a run folder, read and checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sim.arrays import Floats
from sim.errors import InputError, Problem
from sim.run.record import Record, read_run


@dataclass(frozen=True)
class Source:
    """A finished (or interrupted) run: `run.json`, `summary.json`, the scenario's text and the timeline.

    `timeline` holds, for each policy, its columns as arrays (T,) of the T ticks that were kept; of a sweep, nothing.
    """

    run: Record
    summary: dict[str, Any]
    scenario: str
    timeline: dict[str, dict[str, Floats]]

    @property
    def policies(self) -> list[dict[str, Any]]:
        """The summary's rows, one a policy that was completed."""
        return list(self.summary["policies"])


def read(folder: Path) -> Source:
    """Read the files that a report shows. Raises `InputError` naming every file that is missing or unreadable."""
    problems: list[Problem] = []
    found: dict[str, Any] = {}
    readers: dict[str, Callable[[Path], Any]] = {
        "run.json": lambda file: read_run(file.parent),
        "summary.json": lambda file: json.loads(file.read_text(encoding="utf-8")),
        "scenario.yaml": lambda file: file.read_text(encoding="utf-8"),
        "timeline.parquet": _timeline,
    }
    for name, reader in readers.items():
        file = folder / name
        try:
            found[name] = reader(file)
        except InputError as error:
            problems += error.problems
        except FileNotFoundError:
            problems.append(Problem("no such file; a report needs a run folder, as `sim run` leaves it", file=str(file)))
        # pyarrow's errors are ValueErrors and OSErrors, so is a JSON or UTF-8 error.
        except (OSError, ValueError, KeyError) as error:
            problems.append(Problem(f"cannot be read: {error}", file=str(file)))
    if problems:
        raise InputError(problems)
    run: Record = found["run.json"]
    # Of a sweep, the timelines of all points would run together.
    timeline = {} if run.sweep else found["timeline.parquet"]
    wanted = {f"{kind}.{arm}.mean" for arm in run.arms for kind in ("weight", "mirror")}
    if missing := sorted({name for columns in timeline.values() for name in wanted.difference(columns)}):
        message = f"lacks the columns {', '.join(missing)} of the arms of run.json"
        raise InputError([Problem(message, file=str(folder / "timeline.parquet"))])
    return Source(run, found["summary.json"], found["scenario.yaml"], timeline)


def _timeline(file: Path) -> dict[str, dict[str, Floats]]:
    import pyarrow.parquet as parquet

    with file.open("rb") as opened:
        table = parquet.read_table(opened)
    labels = [name for name in table.column_names if name in ("policy", "point") or name.startswith("sweep.")]
    policy = np.asarray(table["policy"].to_pylist(), dtype=object)
    columns = {name: table[name].to_numpy().astype(np.float64) for name in table.column_names if name not in labels}
    return {name: {key: values[policy == name] for key, values in columns.items()} for name in dict.fromkeys(policy.tolist())}
