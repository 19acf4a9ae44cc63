"""Playing candidates on the same worlds, a part of the replications at a time, and who is shown to be worse."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.compare.decision import decide
from sim.compare.frontier import aim, differs
from sim.compare.measure import Measure
from sim.compare.trials import Trials, trials_of
from sim.given import with_files
from sim.recommend.space import Policy
from sim.run.about import about
from sim.run.blocks import Work, by_policy, rows_of, tasks
from sim.run.checkpoints import played_by
from sim.run.effort import workers_for
from sim.run.execute import execute
from sim.run.frames import trials as table_of
from sim.run.plan import Plan, PlannedPoint, Resolver, prepare
from sim.run.record import Record, now
from sim.scenario.reading import read

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

SURE = 0.99
"""Of a comparison with another, at which a candidate leaves the race."""
# Trajectories are of no use here: the start and the end alone.
_NO_SAMPLES = 2
_HOLD = "champion-alone"


@dataclass
class Race:
    """Plays candidates in the world of a scenario.

    base: the scenario as a file writes it, with versions in the place of aliases. The first n replications of every
    candidate are the same worlds and the same arrivals, whoever else takes part, so that they are compared in pairs. `kept` is
    a folder of what was played: a search that was interrupted goes on. `watch` is called after each candidate is played.
    """

    base: Mapping[str, Any]
    resolver: Resolver
    workers: int | None = None
    kept: Path | None = None
    watch: Callable[[], None] | None = None
    _tables: dict[tuple[str, int, int], pd.DataFrame] = field(default_factory=dict, init=False)

    @property
    def _alone(self) -> Mapping[str, Policy]:
        """What the net value is reckoned against where requests compete for servers: the champion alone."""
        return {_HOLD: {"kind": "hold"}} if self.base.get("capacity") or self.base.get("pools") else {}

    def planned(self, policies: Mapping[str, Policy], replications: int) -> Plan:
        """The plan of some candidates. Raises `InputError` for one that the scenario cannot have."""
        policies = {**policies, **self._alone}
        document = {
            **self.base, "replications": replications, "aa": False, "sensitivity": "off",
            "policies": [{"name": name, **policy} for name, policy in policies.items()],
        }  # fmt: skip
        for key in ("search", "sweep", "enough", "baseline", "thresholds", "calibrated"):
            document.pop(key, None)
        scenario, read_as = read(document, with_files())
        return prepare(scenario, read_as, self.resolver)

    def look(self, policies: Mapping[str, Policy], replications: int, before: int = 0) -> Look:
        """The candidates after so many replications each, of which `before` were played already."""
        import pandas as pd

        plan = self.planned(policies, replications)
        policies = {**policies, **self._alone}
        (point,) = plan.points
        self._play(point, policies, before, replications)
        parts = by_policy(tasks(list(policies), replications, rows_of(point)))
        run = Record.model_validate(about(plan, parts, now()))
        known = sorted(self._tables.items(), key=lambda each: each[0])
        frames = [table for (name, _, end), table in known if name in policies and end <= replications]
        (trials,) = trials_of(pd.concat(frames, ignore_index=True), run)
        return Look(run, trials)

    def _play(self, point: PlannedPoint, policies: Mapping[str, Policy], first: int, end: int) -> None:
        import pandas as pd

        missing = []
        for name, policy in policies.items():
            file = self._file(policy, first, end)
            if (name, first, end) in self._tables:
                continue
            if file is not None and file.exists():
                self._tables[name, first, end] = pd.read_parquet(file).assign(policy=name)
            else:
                missing.append(name)
        if not missing:
            return
        work = Work(point.world, point.forms, point.engine.name, _NO_SAMPLES)
        todo = tasks(missing, end, rows_of(point), start=first)
        of = by_policy(todo)
        left = {which: len(own) for which, own in of.items()}
        plays = {}
        with closing(execute([work], todo, workers_for([work], todo, self.workers))) as done:
            for task, play, _ in done:
                plays[task] = play
                left[task.which] -= 1
                if not left[task.which]:
                    self._keep(
                        task.policy, policies[task.policy], first, end, point, [plays.pop(each) for each in of[task.which]]
                    )
                    if self.watch:
                        self.watch()

    def _keep(self, name: str, policy: Policy, first: int, end: int, point: PlannedPoint, plays: Sequence[Any]) -> None:
        from sim.files import write_parquet

        table = table_of(name, plays, point.scenario.arms, {})
        self._tables[name, first, end] = table
        file = self._file(policy, first, end)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_parquet(file, table)

    def _file(self, policy: Policy, first: int, end: int) -> Path | None:
        if self.kept is None:
            return None
        world = {key: value for key, value in self.base.items() if key not in ("policies", "search", "replications")}
        text = json.dumps([played_by(), world, policy, first, end], sort_keys=True)
        return self.kept / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.parquet"


@dataclass(frozen=True)
class Look:
    """Candidates after the same replications."""

    run: Record
    trials: Mapping[str, Trials]

    @property
    def aim(self) -> Measure:
        """What they are compared by: net value, or regret where that is not known."""
        return aim(each for each in self.trials.values() if not each.is_baseline)

    def unfit(self) -> Mapping[str, str]:
        """Why candidates are shown not to be fit, as the end of a sentence that begins with their name."""
        return decide(self.run, self.trials, in_doubt=True).passed_over

    def able(self) -> list[str]:
        """Those that may be fit."""
        unfit = self.unfit()
        return [name for name, trials in self.trials.items() if name not in unfit and not trials.is_baseline]

    def behind(self, name: str, leader: str) -> bool:
        """Whether a candidate is shown to be worse than the leader on the worlds that both were tried in."""
        sign = 1 if self.aim.better == "higher" else -1
        return differs(self.aim.difference(self.trials[name], self.trials[leader], SURE)) == -sign

    def first(self, names: Sequence[str]) -> Look:
        """The same of some candidates alone."""
        return replace(self, trials={name: each for name, each in self.trials.items() if name in names or each.is_baseline})
