"""How often an error comes at a number of a policy, by playing it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from sim.calibration.search import FAR, Look
from sim.compare.measures import MEASURES
from sim.compare.trials import Trials
from sim.errors import InputError, format_path
from sim.files import write_json
from sim.policy.forms import Form
from sim.run.blocks import Work, rows_of, tasks
from sim.run.checkpoints import played_by
from sim.run.effort import expected_of, workers_for
from sim.run.execute import execute
from sim.run.frames import trials
from sim.run.glance import LONGEST_S, SHARE, factor_of
from sim.run.plan import PlannedPoint, Resolved, plan_point
from sim.run.trial import AA
from sim.scenario.calibrate import IN_AA
from sim.scenario.check import check
from sim.scenario.check_calibrated import OpenNumber, with_number
from sim.scenario.loading import parse_path
from sim.scenario.schema import Scenario
from sim.world.alike import alike

# Of the trials that are planned, the part that tells numbers which are far off.
_FIRST = 0.1


@dataclass
class Trying:
    """Plays a policy with numbers that are tried.

    The worlds have a seed of their own, so that no trial of the run is among those that a number is judged by. `kept` is a
    folder in which results are kept: an interrupted search goes on, and one that is done is not done again.
    """

    scenario: Scenario
    number: OpenNumber
    resolved: Resolved
    base: Path
    workers: int | None = None
    kept: Path | None = None
    played: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.scenario, self.number = _alone(self.scenario, self.number)

    def look(self, value: float) -> Look | None:
        """How often the error comes at a value; None where it cannot stand there. Values that are far off are told early."""
        point = self._point(value)
        if point is None:
            return None
        share, most = self.number.promise[1], self.number.replications
        first = max(round(_FIRST * most), 1)
        events, n = self._count(point, 0, first)
        # Where no trial is a case of it among these, there may be some among the others.
        away = abs(events / n - share) / float(np.sqrt(share * (1 - share) / n)) if n else 0.0
        if away <= FAR and first < most:
            more, of = self._count(point, first, most)
            events, n = events + more, n + of
            return Look(value, events, n) if n else None
        return Look(value, events, n, whole=first == most)

    def fresh(self, value: float) -> Look:
        """How often the error comes at a value in as many trials that it was not judged by."""
        point = self._point(value)
        assert point is not None
        most = self.number.replications
        return Look(value, *self._count(point, most, 2 * most))

    def expected_s(self) -> float:
        """About the seconds of a look at all trials, as a glance at a few of them tells; the first number stands for all."""
        point = self._point(self.number.start)
        if point is None:
            return 0.0
        work, todo = self._work(point), tasks([self.number.policy], self.number.replications, rows_of(point))
        seconds, policy = sum(expected_of([work], todo).values()), self.number.policy
        rows = max(task.end - task.first for task in todo)
        seconds *= factor_of(work, (0, policy), rows, min(SHARE * seconds, LONGEST_S)) or 1.0
        return seconds / workers_for([work], todo, self.workers)

    def _point(self, value: float) -> PlannedPoint | None:
        try:
            tried = with_number(self.scenario, self.number, value)
            if check(tried):
                return None
            return plan_point(tried, self.resolved, self.base)
        except ValidationError:
            return None
        except InputError as error:
            if all(problem.path.startswith("policies[") for problem in error.problems):
                return None
            raise

    def _work(self, point: PlannedPoint) -> Work:
        in_aa = self.number.promise[0] in IN_AA
        same = alike(point.world) if in_aa else None
        return Work(point.world, point.forms, point.engine.name, 2, same, trial=not in_aa)

    def _count(self, point: PlannedPoint, first: int, end: int) -> tuple[int, int]:
        """Trials with the error, and trials that are a case of it, of replications from `first` up to `end`."""
        measure = self.number.promise[0]
        self.played += end - first
        text = json.dumps([played_by(), point.digest, self.number.policy, measure, first, end])
        file = None if self.kept is None else self.kept / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
        known = _read(file)
        if known is not None:
            return known
        work, todo = self._work(point), tasks([self.number.policy], end, rows_of(point), start=first)
        with closing(execute([work], todo, workers_for([work], todo, self.workers))) as played:
            plays = {task: play for task, play, _ in played}
        in_order = [plays[task] for task in todo]
        if work.trial:
            frame = trials(self.number.policy, in_order, point.scenario.arms, {})
            columns = {name: frame[name].to_numpy() for name in frame.columns}
        else:
            columns = {name: np.concatenate([play.columns[name] for play in in_order]) for name in AA}
        form = point.forms[self.number.policy]
        found = MEASURES[measure].estimate(Trials(form.name, form.kind, point.scenario.horizon, columns))
        counted = round((found.estimate or 0.0) * found.n), found.n
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, list(counted))
        return counted


def _alone(scenario: Scenario, number: OpenNumber) -> tuple[Scenario, OpenNumber]:
    """The scenario with the one policy and those that it takes stages from, as many replications as are played, and a seed.

    Its other policies and what is only said of a run change nothing here, and so are left out of what a result is kept by.
    """
    forms: dict[str, Form] = {policy.name: policy for policy in scenario.policies}
    reached = _reached([number.policy], forms)
    policies = tuple(policy for policy in scenario.policies if policy.name in reached)
    place = next(at for at, policy in enumerate(policies) if policy.name == number.policy)
    seed = hashlib.sha256(f"calibrated {scenario.seed}".encode()).digest()
    own = {
        "name": "calibrated", "question": "", "seed": int.from_bytes(seed[:8], "big") >> 1, "policies": policies,
        "replications": 2 * number.replications, "baseline": None, "aa": False, "sweep": None, "require": {},
        "thresholds": {}, "calibrated": {},
    }  # fmt: skip
    path = format_path(("policies", place, *parse_path(number.path)[2:]))
    return scenario.model_copy(update=own), replace(number, path=path)


def _reached(names: Sequence[str], forms: dict[str, Form]) -> set[str]:
    found = set(names)
    for name in names:
        found |= _reached(forms[name].names(), forms) if name in forms else set()
    return found


def _read(file: Path | None) -> tuple[int, int] | None:
    """The counts that a file keeps; None where there are none that can be used."""
    if file is None:
        return None
    try:
        events, n = json.loads(file.read_bytes())
    except (OSError, ValueError, TypeError):
        return None
    return (events, n) if isinstance(events, int) and isinstance(n, int) and 0 <= events <= n else None
