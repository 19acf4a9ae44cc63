"""The result of `sim bench`, as a table and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sim.bench.compiling import Compiling
from sim.bench.contenders import CIMBA, SIMPY
from sim.bench.measure import Missing, Row
from sim.bench.scale import Size

_PACKAGES = ("rollout-sim", "numpy", "numba", "simpy", "cimba", "ciw", "mabwiser")
# If wall time over processor time is above this, other programs disturbed the run.
_BUSY = 1.3


def environment() -> dict[str, Any]:
    """Versions and the number of cores, which explain the figures; nothing that identifies the machine.

    >>> sorted(environment())
    ['cores', 'packages', 'processor', 'python', 'system']
    """
    versions: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "python": platform.python_version(), "system": platform.system(), "processor": platform.machine(),
        "cores": os.cpu_count(), "packages": versions,
    }  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """All results of one run of the benchmark. Without a compiler, `compiling` is None and `sizes` is empty."""

    environment: dict[str, Any]
    rounds: int
    rows: list[Row]
    missing: list[Missing]
    compiling: Compiling | None
    sizes: list[Size]
    rollouts: list[Row] = field(default_factory=list)
    """Rows of trial-ticks or trials a second, as each of them says; `requests` of these rows are what it counts."""

    def row(self, key: str) -> Row | None:
        """The row with this key, or None."""
        return next((row for row in self.rows if row.key == key), None)

    def to_dict(self) -> dict[str, Any]:
        """All figures, as a dictionary for JSON."""
        return {
            "environment": self.environment,
            "rounds": self.rounds,
            "throughput": [
                {
                    **asdict(row), "requests_per_s": row.per_s,
                    **{f"times_{key}": row.times(other) for key in (SIMPY, CIMBA) if (other := self.row(key))},
                }
                for row in self.rows
            ],
            "rollouts": [
                {
                    "key": row.key, "what": row.what, "counted": row.requests, "cpu_s": row.cpu_s, "wall_s": row.wall_s,
                    "per_s": row.per_s,
                }
                for row in self.rollouts
            ],
            "left_out": [asdict(missing) for missing in self.missing],
            "first_call": None if self.compiling is None else asdict(self.compiling),
            "sizes": [{**asdict(size), "requests_per_s": size.per_s} for size in self.sizes],
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        """The lines of the tables."""
        yield f"two M/M/4 stations at rho = 0.8 behind a 50/50 router; one core; median of {self.rounds} rounds in turns"
        yield ""
        yield f"{'':<66} {'requests/s':>11} {'x SimPy':>9} {'x cimba':>9}"
        yield "-" * 98
        for row in self.rows:
            ratios = [row.times(other) if (other := self.row(key)) else None for key in (SIMPY, CIMBA)]
            yield f"{row.what:<66} {quantity(row.per_s):>11} " + " ".join(f"{_ratio(ratio):>9}" for ratio in ratios)
        yield ""
        for missing in self.missing:
            yield f"left out: {missing.what} {missing.reason}"
        if self.rollouts:
            yield f"{'rollouts on engine aggregate':<66} {'per second':>11}"
            yield "-" * 78
            for row in self.rollouts:
                yield f"{row.what:<66} {quantity(row.per_s):>11}"
            yield ""
        busy = max(wall / cpu for row in (*self.rows, *self.rollouts) for wall, cpu in zip(row.wall_s, row.cpu_s, strict=True))
        if busy > _BUSY:
            yield f"the machine was busy: a turn took up to {busy:.1f} times its processor time, which is what is counted"
        if self.compiling is not None:
            first = self.compiling
            yield (
                f"first call of engine compiled in a fresh process: {first.cold_cpu_s:.1f} s while it compiles, "
                f"{first.cached_cpu_s:.2f} s with machine code on disk"
            )
        if self.sizes:
            yield ""
            yield f"{'engine compiled, by size':<26} {'seconds':>10} {'requests/s':>11} {'peak memory':>12}"
            yield "-" * 62
            for size in self.sizes:
                peak = f"{size.peak_bytes / 1e6:.1f} MB"
                yield f"{round(size.requests):<26,} {size.cpu_s:10.4f} {quantity(size.per_s):>11} {peak:>12}"
            yield ""
            yield "seconds of processor time, set-up of the run included; memory as asked for by Python and NumPy"


def quantity(number: float) -> str:
    """A number with three digits and a letter.

    >>> [quantity(number) for number in (94_300, 21.4e6, 3.59e10)]
    ['94.3 k', '21.4 M', '35.9 G']
    """
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{_digits(number / size, 3)} {letter}"
    return _digits(number, 3)


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio:,.0f}" if ratio >= 100 else _digits(ratio, 2)


def _digits(number: float, digits: int) -> str:
    return f"{number:#.{digits}g}".rstrip(".")
