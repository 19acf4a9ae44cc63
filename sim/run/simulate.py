"""One run: play every policy of a plan and leave a folder behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import InputError, Problem, SimError
from sim.run import frames
from sim.run.blocks import Task, Work, tasks
from sim.run.execute import execute, workers_for
from sim.run.folder import CHECKPOINTS, Checkpoints, write_json, write_parquet, write_text
from sim.run.lock import writing
from sim.run.plan import Plan, needs_of
from sim.run.sweep import SweepPlan
from sim.run.trial import Play
from sim.version import VERSION

if TYPE_CHECKING:
    import pandas as pd

SAMPLES = 400
# Samples times replications of a policy that are held at once.
_MOST_SAMPLED = 8_000_000

Watch = Callable[[Task, bool], None]
Which = tuple[int | None, str]
Tables = dict[Which, tuple["pd.DataFrame", "pd.DataFrame"]]


@dataclass(frozen=True)
class Run:
    """A run folder, and whether an interrupt ended it early."""

    folder: Path
    interrupted: bool
    completed: tuple[str, ...]


def folder_of(plan: Plan | SweepPlan, reports: Path) -> Path:
    """Where a run of this plan is kept: the scenario's name and a digest of its resolved text."""
    return reports / f"{plan.scenario.name}-{plan.digest[:10]}"


def tasks_of(plan: Plan | SweepPlan) -> list[Task]:
    """What there is to play; of a sweep, point by point."""
    found = []
    for point, each in enumerate(plans_of(plan)):
        names = [policy.name for policy in each.scenario.policies]
        which = point if isinstance(plan, SweepPlan) else None
        found += tasks(names, each.scenario.replications, each.world.ticks, each.engine.name, which, _tallies(each))
    return found


def simulate(plan: Plan | SweepPlan, reports: Path, *, workers: int | None = None, watch: Watch | None = None) -> Run:
    """Play every policy, of a sweep at every point, and write the folder.

    `watch` is called with every finished task, and whether a checkpoint of an interrupted run already had it. An interrupt
    (Ctrl-C), or an error, leaves the finished policies and the checkpoints; running again takes up from there.
    Raises `InputError` where the folder cannot be made, or another run is writing to it.
    """
    folder = folder_of(plan, reports)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError([Problem(f"cannot make the run folder: {error.strerror}", file=str(folder))]) from error
    with writing(folder, new=True):
        return _simulate(plan, folder, workers, watch)


def _simulate(plan: Plan | SweepPlan, folder: Path, workers: int | None, watch: Watch | None) -> Run:
    started = datetime.now(UTC)
    checkpoints = Checkpoints(folder)
    todo = tasks_of(plan)
    scenario = plan.scenario
    samples = max(20, min(SAMPLES, _MOST_SAMPLED // (scenario.replications * len(scenario.arms))))
    works = [Work(each.world, each.forms, each.engine.name, samples) for each in plans_of(plan)]
    by_policy: dict[Which, list[Task]] = {}
    for task in todo:
        by_policy.setdefault((task.point, task.policy), []).append(task)
    kept = {task for task in todo if checkpoints.load(task) is not None}
    for task in todo:
        if task in kept and watch:
            watch(task, True)
    left = [task for task in todo if task not in kept]
    tables: Tables = {}
    finished = set(kept)
    interrupted = False

    def collect(which: Which) -> None:
        if which not in tables and all(task in finished for task in by_policy[which]):
            point, policy = which
            plays = [_again(checkpoints, task, folder) for task in by_policy[which]]
            labels = plan.labels(point) if isinstance(plan, SweepPlan) and point is not None else {}
            tick_s = plans_of(plan)[point or 0].scenario.tick
            trials = frames.trials(policy, plays, scenario.arms, labels)
            tables[which] = trials, frames.timeline(policy, plays, scenario.arms, tick_s, labels)

    try:
        for which in by_policy:
            collect(which)
        if left:
            with closing(execute(works, left, workers_for(works, left, workers))) as played:
                for task, play in played:
                    checkpoints.save(task, play)
                    finished.add(task)
                    if watch:
                        watch(task, False)
                    collect((task.point, task.policy))
    except KeyboardInterrupt:
        interrupted = True
    except Exception:
        _write(plan, folder, by_policy, tables, started, interrupted=True)
        raise
    completed = _write(plan, folder, by_policy, tables, started, interrupted)
    if not interrupted:
        checkpoints.clear()
    names = tuple(policy if point is None else f"{policy} at point {point}" for point, policy in completed)
    return Run(folder, interrupted, names)


def _again(checkpoints: Checkpoints, task: Task, folder: Path) -> Play:
    play = checkpoints.load(task)
    if play is None:
        raise SimError(f"checkpoints in {folder / CHECKPOINTS} were removed while it was running; run again")
    return play


def _tallies(plan: Plan) -> int:
    """How many sums of users a replication keeps, where some policy needs them."""
    population = plan.world.population
    if population is None or not any(column.by_user for column in needs_of(plan.scenario, plan.world)):
        return 0
    return population.users * len(plan.world.arms)


def plans_of(plan: Plan | SweepPlan) -> tuple[Plan, ...]:
    """The plans of a sweep's points, or the only one."""
    return plan.plans if isinstance(plan, SweepPlan) else (plan,)


def _write(
    plan: Plan | SweepPlan, folder: Path, asked: Iterable[Which], tables: Tables, started: datetime, interrupted: bool
) -> list[Which]:
    """Write the finished policies, and say which these are; nothing if none is."""
    completed = [which for which in asked if which in tables]
    if not completed:
        return []
    import pandas as pd
    import yaml

    if isinstance(plan, SweepPlan):
        about = _about_sweep(plan, completed, started, interrupted)
    else:
        about = _about(plan, tuple(policy for _, policy in completed), started, interrupted)
    # What an earlier run of the same scenario left is replaced as a whole: no report of other trials stays beside these.
    for name in ("summary.json", "report.html", "report.md", "tracking.json"):
        (folder / name).unlink(missing_ok=True)
    text = yaml.safe_dump(plan.resolved(), sort_keys=False, allow_unicode=True, width=100)
    write_text(folder / "scenario.yaml", text)
    write_parquet(folder / "trials.parquet", pd.concat([tables[which][0] for which in completed], ignore_index=True))
    write_parquet(folder / "timeline.parquet", pd.concat([tables[which][1] for which in completed], ignore_index=True))
    write_json(folder / "run.json", about)
    return completed


def _about_sweep(plan: SweepPlan, completed: Sequence[Which], started: datetime, interrupted: bool) -> dict[str, Any]:
    """As of its first point, and under `sweep` what the points have of their own."""
    each = [
        _about(own, tuple(policy for at, policy in completed if at == point), started, interrupted)
        for point, own in enumerate(plan.plans)
    ]
    everywhere = [name for name in plan.plans[0].forms if all(name in about["completed"] for about in each)]
    shared = {**each[0], "digest": plan.digest, "completed": everywhere}
    points = [
        {
            "values": list(point.texts),
            "numbers": list(point.numbers),
            "run": {
                key: about[key] for key in about if key == "completed" or (key not in _OF_ALL and about[key] != shared[key])
            },
        }
        for point, about in zip(plan.points, each, strict=True)
    ]
    return {**shared, "sweep": {"paths": list(plan.scenario.sweep or ()), "points": points}}


_OF_ALL = ("started_at", "finished_at", "status")


def _about(plan: Plan, completed: tuple[str, ...], started: datetime, interrupted: bool) -> dict[str, Any]:
    scenario = plan.scenario
    metric = plan.world.setting(1).metrics[plan.world.primary]
    return {
        "name": scenario.name,
        "digest": plan.digest,
        "question": scenario.question,
        "engine": plan.engine.name,
        "engine_reason": plan.engine.reason,
        "seed": scenario.seed,
        "replications": scenario.replications,
        "horizon_s": scenario.horizon,
        "tick_s": scenario.tick,
        "arms": list(scenario.arms),
        "primary": {"name": metric.name, "sign": metric.sign, "binary": metric.binary},
        "policies": [{"name": policy.name, "kind": policy.kind} for policy in scenario.policies],
        "baseline": scenario.baseline or scenario.policies[0].name,
        "started_at": started.isoformat(timespec="milliseconds"),
        "finished_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "status": "interrupted" if interrupted else "finished",
        "completed": list(completed),
        "versions": [
            {key: getattr(version, key) for key in ("arm", "uri", "name", "version", "model_id", "run_id", "kind", "digest")}
            for version in plan.versions
        ],
        "data": None if plan.data is None else {"name": plan.data.name, "digest": plan.data.digest, "rows": plan.data.rows},
        "requests_expected": float(plan.world.requests.sum()),
        "thresholds": dict(scenario.thresholds),
        "warnings": list(plan.warnings),
        "smallest_effect": plan.world.smallest_effect,
        "sim_version": VERSION,
    }
