"""One run: play every policy of a plan and leave a folder behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import InputError, Problem
from sim.run import frames
from sim.run.blocks import Task, Work, tasks
from sim.run.execute import execute, workers_for
from sim.run.folder import Checkpoints, write_json, write_parquet, write_text
from sim.run.plan import VERSION, Plan

if TYPE_CHECKING:
    import pandas as pd

SAMPLES = 400
# Samples times replications of a policy that are held at once.
_MOST_SAMPLED = 8_000_000

Watch = Callable[[Task, bool], None]


@dataclass(frozen=True)
class Run:
    """A run folder, and whether an interrupt ended it early."""

    folder: Path
    interrupted: bool
    completed: tuple[str, ...]


def folder_of(plan: Plan, reports: Path) -> Path:
    """Where a run of this plan is kept: the scenario's name and a digest of its resolved text."""
    return reports / f"{plan.scenario.name}-{plan.digest[:10]}"


def tasks_of(plan: Plan) -> list[Task]:
    """What there is to play."""
    names = [policy.name for policy in plan.scenario.policies]
    return tasks(names, plan.scenario.replications, plan.world.ticks, plan.engine.name)


def simulate(plan: Plan, reports: Path, *, workers: int | None = None, watch: Watch | None = None) -> Run:
    """Play every policy. A policy is written as soon as it is finished.

    `watch` is called with every finished task, and whether a checkpoint of an interrupted run already had it. An interrupt
    (Ctrl-C) leaves the finished policies and the checkpoints; running again takes up from there.
    """
    folder = folder_of(plan, reports)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError([Problem(f"cannot make the run folder: {error.strerror}", file=str(folder))]) from error
    started = datetime.now(UTC)
    checkpoints = Checkpoints(folder)
    todo = tasks_of(plan)
    scenario = plan.scenario
    samples = max(20, min(SAMPLES, _MOST_SAMPLED // (scenario.replications * len(scenario.arms))))
    work = Work(plan.world, plan.forms, plan.engine.name, samples)
    by_policy: dict[str, list[Task]] = {}
    for task in todo:
        by_policy.setdefault(task.policy, []).append(task)
    kept = {task for task in todo if checkpoints.load(task) is not None}
    for task in todo:
        if task in kept and watch:
            watch(task, True)
    left = [task for task in todo if task not in kept]
    tables: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {}
    finished = set(kept)
    interrupted = False

    def collect(policy: str) -> None:
        if policy not in tables and all(task in finished for task in by_policy[policy]):
            plays = [play for task in by_policy[policy] if (play := checkpoints.load(task)) is not None]
            trials = frames.trials(policy, plays, scenario.arms)
            tables[policy] = trials, frames.timeline(policy, plays, scenario.arms, scenario.tick)

    try:
        for policy in by_policy:
            collect(policy)
        for task, play in execute(work, left, workers_for(left, plan.world.ticks, workers)) if left else ():
            checkpoints.save(task, play)
            finished.add(task)
            if watch:
                watch(task, False)
            collect(task.policy)
    except KeyboardInterrupt:
        interrupted = True
    completed = tuple(policy for policy in by_policy if policy in tables)
    if completed:
        _write(plan, folder, completed, tables, started, interrupted)
    if not interrupted:
        checkpoints.clear()
    return Run(folder, interrupted, completed)


def _write(
    plan: Plan,
    folder: Path,
    completed: tuple[str, ...],
    tables: dict[str, tuple[pd.DataFrame, pd.DataFrame]],
    started: datetime,
    interrupted: bool,
) -> None:
    import pandas as pd
    import yaml

    # What an earlier run of the same scenario left is replaced as a whole: no report of other trials stays beside these.
    for name in ("summary.json", "report.html", "report.md", "tracking.json"):
        (folder / name).unlink(missing_ok=True)
    text = yaml.safe_dump(plan.resolved(), sort_keys=False, allow_unicode=True, width=100)
    write_text(folder / "scenario.yaml", text)
    write_parquet(folder / "trials.parquet", pd.concat([tables[name][0] for name in completed], ignore_index=True))
    write_parquet(folder / "timeline.parquet", pd.concat([tables[name][1] for name in completed], ignore_index=True))
    write_json(folder / "run.json", _about(plan, completed, started, interrupted))


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
