"""From a scenario with a sweep to a plan for each of its points."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import InputError, Problem
from sim.run.plan import Plan, prepare
from sim.scenario.loading import parse_path
from sim.scenario.schema import Scenario
from sim.scenario.sweep import Point, gathered, text_of
from sim.version import VERSION

if TYPE_CHECKING:
    from sim.registry.store import Client


@dataclass(frozen=True)
class SweepPlan:
    """One run of several points, each with a plan. `scenario` is the file's; `digest` names all points together.

    Points that share a seed share their draws: the same arrivals, and outcomes as alike as their rates are.
    """

    scenario: Scenario
    points: tuple[Point, ...]
    plans: tuple[Plan, ...]

    @property
    def digest(self) -> str:
        """Of what is swept, and the points' digests."""
        text = json.dumps([VERSION, list(self.scenario.sweep or ()), [plan.digest for plan in self.plans]])
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of all points, each once."""
        return tuple(dict.fromkeys(warning for plan in self.plans for warning in plan.warnings))

    def labels(self, point: int) -> dict[str, Any]:
        """The columns that tell a point in the tables: its number, and its values, as numbers where all points have one."""
        columns: dict[str, Any] = {"point": point}
        for place, path in enumerate(self.scenario.sweep or ()):
            numeric = all(each.numbers[place] is not None for each in self.points)
            here = self.points[point]
            columns[f"sweep.{path}"] = here.numbers[place] if numeric else here.texts[place]
        return columns

    def resolved(self) -> dict[str, Any]:
        """The scenario at its first point with aliases resolved and defaults written out, and the sweep's aliases likewise."""
        sweep = {}
        for place, (path, values) in enumerate((self.scenario.sweep or {}).items()):
            at = {point.texts[place]: index for index, point in enumerate(self.points)}
            sweep[path] = [self._value(at[text_of(value)], path, value) for value in values]
        return {**self.plans[0].resolved(), "sweep": sweep}

    def _value(self, point: int, path: str, written: Any) -> Any:
        """A swept value as it is written, unless it holds what is resolved: an alias, or the path of a file."""
        try:
            said: Any = self.points[point].scenario.dump()
            resolved: Any = self.plans[point].resolved()
            for part in parse_path(path):
                said, resolved = said[part], resolved[part]
        except (LookupError, TypeError):
            # A short form may keep a key elsewhere.
            return written
        return written if said == resolved else resolved


def prepare_sweep(scenario: Scenario, points: Sequence[Point], client: Client, cache: Path | None) -> SweepPlan:
    """A plan for each point. Raises `InputError` with every problem, each naming the points that have it."""
    plans: list[Plan] = []
    found: list[tuple[str, Sequence[Problem]]] = []
    for point in points:
        try:
            plans.append(prepare(point.scenario, point.document, client, cache))
            found.append((point.label, ()))
        except InputError as error:
            found.append((point.label, error.problems))
    problems = gathered(found)
    if problems:
        raise InputError(problems)
    return SweepPlan(scenario, tuple(points), tuple(plans))
