"""Every measure of every policy as a table, in pandas and as a file that a spreadsheet, and MLflow's page, show."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.compare.amounts import measured_in
from sim.compare.result import Comparison
from sim.files import write_text
from sim.report.source import read

if TYPE_CHECKING:
    import pandas as pd

NAME = "measures.csv"


def write(folder: Path, into: Path | None = None) -> Path:
    """Write `measures.csv` to a run folder, whole or not at all, and return its path.

    It has a row for each point, policy and measure, as `measures`. With `into`, `summary.json` is read from that folder, and
    the file is written to it. Raises `InputError` as `sim.report.html.write`.

    >>> write(Path("no-such-run"))
    Traceback (most recent call last):
    sim.errors.InputError: no-such-run: no such folder
    """
    file = (into or folder) / NAME
    rows = _rows(read(folder, into).comparison)
    # Not by pandas, which takes longer to load than all of this.
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    if rows:
        writer.writeheader()
    writer.writerows(rows)
    write_text(file, text.getvalue())
    return file


def measures(comparison: Comparison) -> pd.DataFrame:
    """Every measure, tidy: a row for each point, policy and measure, with the columns of `Results.to_pandas`."""
    return comparison.framed(_rows(comparison))


def _rows(comparison: Comparison) -> list[dict[str, Any]]:
    """The rows of `Comparison.to_dicts` with the unit of the measure, and swept values as numbers where all are numbers."""
    units = [
        {name: measured_in(name, measure, point.run) for name, measure in comparison.measures.items()}
        for point in comparison.run.points
    ]
    numeric = {
        f"sweep.{path}": place
        for place, path in enumerate(comparison.paths)
        if all(point.numbers[place] is not None for point in comparison.points)
    }
    rows = []
    for row in comparison.to_dicts():
        at = row.get("point", 0)
        swept = {name: comparison.points[at].numbers[place] for name, place in numeric.items()}
        told: dict[str, Any] = {}
        for key, value in row.items():
            told[key] = swept.get(key, value)
            if key == "measure":
                told["unit"] = units[at][value]
        rows.append(told)
    return rows
