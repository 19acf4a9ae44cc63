"""What is wrong in the rows of a log: the first row that breaks a rule, and how many do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sim.arrays import Ints
from sim.errors import Problem
from sim.units import shown


@dataclass
class Wrong:
    """The first row that breaks a rule, and how many do: by file, column and rule."""

    first: dict[tuple[str, str, str], tuple[int, str, int]] = field(default_factory=dict)

    def note(
        self, file: str, column: str, rule: str, rows: Ints, got: Callable[[int], object], before: int,
        places: Ints | None = None,
    ) -> None:  # fmt: skip
        """Rows of a batch that break a rule; `before` are the rows of the file before it.

        `places` are the rows' places in the batch as the file has it, where some are left out.
        """
        if rows.size:
            place = int(rows[0]) if places is None else int(places[rows[0]])
            row, said, count = self.first.get((file, column, rule), (before + place + 1, shown(got(int(rows[0]))), 0))
            self.first[file, column, rule] = (row, said, count + rows.size)

    def problems(self) -> list[Problem]:
        """A problem for each column and rule."""
        return [
            Problem(
                f"row {row}: {rule}, got {said}" + (f", and so in {count - 1:,} more rows" if count > 1 else ""), column, file
            )
            for (file, column, rule), (row, said, count) in self.first.items()
        ]
