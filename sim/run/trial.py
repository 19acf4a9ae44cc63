"""The main loop: it plays one policy in a block of replications, from start to horizon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats
from sim.engine.base import Maker, Stepped, Striding
from sim.engine.ledger import Ledger
from sim.policy.base import Routing, Telemetry, Verdict
from sim.policy.estimates import EffectEstimates
from sim.policy.machine import StagedPolicy, Verdicts
from sim.policy.offline import OfflineChoice, Scores
from sim.policy.setting import Setting
from sim.run.gained import gained
from sim.world.offline import scores
from sim.world.world import Truth

AA = ("aa_declared", "aa_shipped")
OFFLINE = ("offline_estimate", "offline_true", "offline_ships", "offline_wrong")


@dataclass(frozen=True)
class Play:
    """The result of a policy in a block: one row per replication, and its trajectory.

    columns {name: (R,)} as in trials.parquet; regret (R, P), live and mirror (R, P, K) after `ticks` (P,) completed ticks;
    decided (R,) the tick of the verdict or -1; verdict (R,).
    """

    columns: dict[str, NDArray[Any]]
    ticks: NDArray[np.int64]
    regret: Floats
    live: Floats
    mirror: Floats
    decided: NDArray[np.int64]
    verdict: NDArray[np.int8]

    @classmethod
    def nothing(cls) -> Play:
        """Where no trial is played."""
        none = np.zeros((0, 0))
        return cls({}, np.zeros(0, np.int64), none, none, none, np.zeros(0, np.int64), np.zeros(0, np.int8))


def play(truth: Truth, policy: StagedPolicy, make_engine: Maker, samples: int) -> Play:
    """Play a policy until every replication is decided or at the horizon, then book the cost of each verdict."""
    world = truth.world
    setting = world.setting(truth.rows, truth.replications)
    engine = make_engine(truth, policy.needs(setting), policy.mirrors())
    trajectory = Trajectory(truth, sample_ticks(world.ticks, samples))
    engine.ledger.watch(trajectory.ticks)
    for routing in rounds(policy, setting, engine, world.ticks, scores(truth, policy.evaluations(setting)), strides=True):
        trajectory.note(engine.tick, routing)
    verdicts = policy.verdicts
    burned = _burned(truth, engine.ledger)
    engine.settle(verdicts.arm, verdicts.decided_tick)
    regret = engine.ledger.regret_path.copy()
    regret[:, -1] = engine.ledger.regret
    columns = _columns(truth, verdicts, engine.ledger) | _estimates(truth, policy.estimates())
    columns |= _offline(truth, policy.offline_choice()) | gained(truth, verdicts, engine.ledger)
    columns["budget_burned"] = burned
    live = trajectory.filled(verdicts)
    return Play(columns, trajectory.ticks, regret, live, trajectory.mirror, verdicts.decided_tick, verdicts.verdict)


def play_alike(truth: Truth, policy: StagedPolicy, make_engine: Maker) -> dict[str, NDArray[Any]]:
    """An A/A test of a policy: `truth` is of arms that are alike. Columns (R,) of trials.parquet, NaN of a policy at once.

    aa_declared: whether a rule of evidence declared a difference; aa_shipped: whether a challenger was shipped.
    """
    if policy.immediate is not None:
        return {name: np.full(truth.rows, np.nan) for name in AA}
    setting = truth.world.setting(truth.rows, truth.replications)
    engine = make_engine(truth, policy.needs(setting), policy.mirrors())
    for _ in rounds(policy, setting, engine, truth.world.ticks, scores(truth, policy.evaluations(setting)), strides=True):
        pass
    verdicts = policy.verdicts
    found = verdicts.significant_tick >= 0, verdicts.verdict == Verdict.SHIP
    return {name: values.astype(np.float64) for name, values in zip(AA, found, strict=True)}


def rounds(
    policy: StagedPolicy, setting: Setting, engine: Stepped, ticks: int, offline: Scores, strides: bool = False
) -> Iterator[Routing]:  # fmt: skip
    """The loop of a simulation. It yields each routing before it is played: the first, then one for the telemetry of each tick.

    `offline` are the scores of the policy's evaluations. It ends when no replication is undecided, or after `ticks` ticks. The
    last routing is not played. With `strides`, ticks in which the policy changes nothing may be played at once: then the
    routing that was yielded last was that of all ticks since.
    """
    routing = policy.start(setting, offline)
    yield routing
    striding = engine if strides and isinstance(engine, Striding) else None
    while routing.rows.size and engine.tick < ticks:
        telemetry = None if striding is None else _stride(policy, striding, routing, ticks)
        routing = policy.step(engine.step(routing) if telemetry is None else telemetry)
        yield routing


def _stride(policy: StagedPolicy, engine: Striding, routing: Routing, ticks: int) -> Telemetry | None:
    """The telemetry of the last of many ticks; None where they are played one by one."""
    stretch = policy.stretch(ticks - engine.tick) if engine.strides else None
    return None if stretch is None else engine.stride(routing, stretch)


def sample_ticks(ticks: int, samples: int) -> NDArray[np.int64]:
    """Numbers of completed ticks at which a trajectory is sampled: 0, the horizon, and at most `samples` in all.

    >>> sample_ticks(10, 6).tolist()
    [0, 2, 4, 6, 8, 10]
    """
    return np.unique(np.rint(np.linspace(0, ticks, min(samples, ticks + 1))).astype(np.int64))


class Trajectory:
    """Samples of the routing while a block is played. A routing is that of all ticks until the next is noted."""

    def __init__(self, truth: Truth, ticks: NDArray[np.int64]) -> None:
        self.ticks = ticks
        shape = (truth.rows, ticks.size, len(truth.world.arms))
        self.live = np.zeros(shape)
        self.mirror = np.zeros(shape)
        self._next = 0
        self._last: Routing | None = None

    def note(self, done: int, routing: Routing) -> None:
        """Note a routing after so many completed ticks."""
        while self._next < self.ticks.size and self.ticks[self._next] <= done:
            shown = routing if self._last is None or self.ticks[self._next] == done else self._last
            self.live[shown.rows, self._next] = shown.live
            self.mirror[shown.rows, self._next] = shown.mirror
            self._next += 1
        self._last = routing

    def filled(self, verdicts: Verdicts) -> Floats:
        """Live shares, after a verdict all to one arm. Also sets the mirror shares after a verdict to 0."""
        decided = verdicts.decided_tick
        after = (decided[:, None] >= 0) & (self.ticks >= decided[:, None])
        only = verdicts.arm[:, None] == np.arange(self.live.shape[2])
        self.mirror[after] = 0.0
        return np.where(after[..., None], only[:, None, :], self.live)


def _burned(truth: Truth, ledger: Ledger) -> Floats:
    """(R,) the share of the error budget of a period that failed requests burned, of an engine that has not settled.

    So it is of the time up to the end of the rollout, or to the horizon. NaN without a budget.
    """
    world, budget = truth.world, truth.world.error_budget
    if budget is None:
        return np.full(truth.rows, np.nan)
    burned: Floats = ledger.errors / budget.allowed(float(world.requests.sum()), world.horizon_s)
    return burned


def account(truth: Truth, verdicts: Verdicts, ledger: Ledger) -> dict[str, NDArray[Any]]:
    """{column of trials.parquet: (R,)} what verdicts came to, of an engine that has settled them: also what they gave."""
    return _columns(truth, verdicts, ledger) | gained(truth, verdicts, ledger)


def _columns(truth: Truth, verdicts: Verdicts, ledger: Ledger) -> dict[str, NDArray[Any]]:
    world = truth.world
    rows = np.arange(truth.rows)
    ended = verdicts.verdict != Verdict.UNDECIDED
    shipped, kept = verdicts.verdict == Verdict.SHIP, verdicts.verdict == Verdict.KEEP
    decided = shipped | kept
    # A verdict is judged by what its arm is worth from then on, and a world by the whole horizon.
    overall, rest = truth.worths.overall, truth.worths.after(np.where(ended, verdicts.decided_tick, world.ticks))
    shipped_better = shipped & rest.better[rows, verdicts.arm]
    near_best = rest.short_of(rest.best)[rows, verdicts.arm] <= rest.margin + 1e-12
    # Where the goal is to be not worse, any arm that is not is right to ship.
    near_best |= rest.not_worse is not None
    seconds = world.tick_s
    with np.errstate(divide="ignore", invalid="ignore"):
        champion = overall.value[:, :1]
        served, kept_on = rest.value[rows, verdicts.arm], rest.value[:, 0]
        gap = (served - kept_on) / np.abs(kept_on)
        relative = np.where(overall.acceptable, (overall.value - champion) / np.abs(champion), -np.inf)[
            :, world.challengers
        ].max(axis=1)
    arrived = np.concatenate([np.zeros((truth.rows, 1), np.int64), ledger.arrived], axis=1)
    until = arrived[rows, np.maximum(verdicts.decided_tick, 0)]
    # Without users, every request is a user of its own.
    distinct = world.population.distinct if world.population is not None else np.asarray
    return {
        "replication": np.asarray(truth.replications, np.int64),
        "verdict": verdicts.verdict.astype(np.int8),
        "shipped_arm": np.where(shipped, verdicts.arm, -1),
        "best_arm": overall.best,
        "correct": (shipped_better & near_best) | (kept & ~rest.matters.any(axis=1)),
        "decided": decided,
        "time_to_decision_s": np.where(decided, verdicts.decided_tick * seconds, np.nan),
        "time_to_end_s": np.where(ended, verdicts.decided_tick * seconds, np.nan),
        "time_to_finding_s": np.where(ended, verdicts.found_tick * seconds, np.nan),
        "paused_s": verdicts.paused_ticks * seconds,
        "reported_failure": verdicts.reported,
        "alarms": verdicts.alarms,
        "muted": verdicts.muted,
        "tries": verdicts.tries,
        "time_to_significance_s": np.where(verdicts.significant_tick >= 0, verdicts.significant_tick * seconds, np.nan),
        "requests_to_decision": np.where(decided, until, np.nan),
        "users_to_decision": np.where(decided, distinct(until), np.nan),
        "regret": ledger.regret,
        "regret_fixed": ledger.regret_fixed,
        "harmed_requests": ledger.harmed,
        "harm": ledger.harm,
        "peak_exposure": ledger.peak_exposure,
        "errors": ledger.errors,
        "slo_violations": ledger.slo_violations,
        "lost_requests": ledger.lost.sum(axis=1),
        "retries": ledger.retries,
        "mirrored_requests": ledger.mirrored.sum(axis=1),
        "duplicated_writes": ledger.duplicated.sum(axis=1),
        "cost_s": ledger.cost_s,
        "requests": ledger.arrived[:, -1],
        "users": np.asarray(distinct(ledger.arrived[:, -1]), np.float64),
        "shipped_effect": np.where(shipped & np.isfinite(gap), gap, np.nan),
        "shipped_better": shipped_better,
        "shipped_worse": shipped & rest.worse[rows, verdicts.arm],
        "any_better": overall.better[:, world.challengers].any(axis=1),
        "any_not_better": (~overall.better[:, world.challengers]).any(axis=1),
        "any_worse": overall.worse[:, world.challengers].any(axis=1),
        "worth_shipping": overall.matters[:, world.challengers].any(axis=1),
        "best_effect": np.where(np.isfinite(relative), relative, np.nan),
    }


def _offline(truth: Truth, choice: OfflineChoice | None) -> dict[str, NDArray[Any]]:
    """What the offline stage made of its scores, beside what is true of the same arm on live traffic; NaN without one."""
    if choice is None:
        return dict.fromkeys(OFFLINE, np.full(truth.rows, np.nan)) | {"offline_arm": np.full(truth.rows, -1)}
    rows, mean = np.arange(truth.rows), truth.analysed(choice.metric)
    with np.errstate(divide="ignore", invalid="ignore"):
        true = (mean[rows, choice.arm] - mean[:, 0]) / np.abs(mean[:, 0])
    ships = choice.picked > 0
    # Offline evaluation alone would ship it before the first request.
    better = truth.worths.after(np.zeros(truth.rows, np.int64)).better[rows, choice.picked]
    return {
        "offline_arm": choice.arm,
        "offline_estimate": choice.estimate,
        "offline_true": np.where(np.isfinite(true), true, np.nan),
        "offline_ships": ships.astype(np.float64),
        "offline_wrong": (ships & ~better).astype(np.float64),
    }


def _estimates(truth: Truth, estimates: EffectEstimates) -> dict[str, NDArray[Any]]:
    """The effect that the policy would report, and the true relative effect of the same arm, without transients."""
    mean = truth.analysed()
    rows, arm = np.arange(truth.rows), np.maximum(estimates.arm, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        true = (mean[rows, arm] - mean[:, 0]) / np.abs(mean[:, 0])
    return {
        "effect_estimate": estimates.effect,
        "effect_se": estimates.error,
        "naive_estimate": estimates.naive,
        "naive_se": estimates.naive_error,
        "contrast_estimate": estimates.contrast,
        "contrast_se": estimates.contrast_error,
        "aipw_estimate": estimates.aipw,
        "aipw_se": estimates.aipw_error,
        "planned_information": estimates.planned,
        "effect_unbiased": estimates.unbiased,
        "effect_lower": estimates.lower,
        "effect_upper": estimates.upper,
        "effect_true": np.where((estimates.arm >= 0) & np.isfinite(true), true, np.nan),
    }
