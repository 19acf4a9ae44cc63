"""A policy in the middle of a rollout: fed with what was seen, tick by tick, and played on from there in one way or another.

The stage machine is deterministic given telemetry, so the policy's state at the look is that of the real rollout. The engine
plays the same ticks beside it, and what it shows of them is dropped: so calls in flight and outcomes that are not known yet are
drawn given the truth. Arrivals are Poisson, so what is known by a time and what is not are independent, given the truth
(Kingman 1993, Poisson Processes, 5.1).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Bools, Floats, Ints
from sim.engine.aggregate import AggregateEngine
from sim.engine.base import Engine, Maker
from sim.errors import InputError, Problem
from sim.forecast.tallies import REQUESTS, Tallies
from sim.policy.base import Evidence, Finding, Guardrail, Routing, Telemetry, Verdict
from sim.policy.columns import Above, Agreement, Column, Count, Moment
from sim.policy.machine import StagedPolicy, Verdicts
from sim.run.trial import account
from sim.units import format_duration
from sim.world.world import Truth

Columns = dict[str, NDArray[Any]]
# Traffic is unlike the policy's weights where chance would make it so once in a million looks; so much of a share is little.
_BY_CHANCE, _LITTLE = 1e-6, 0.02


@dataclass(frozen=True)
class Course:
    """How R rehearsals went on from the look. columns as in trials.parquet, with `gain`, `failed_more` and `slow_more` counted
    from the look on; won (R,) whether a rule of evidence declared a challenger better after the look.
    """

    columns: Columns
    won: Bools


def untellable(policy: StagedPolicy, needs: tuple[Column, ...], name: str) -> list[Problem]:
    """Why tallies cannot tell what a policy has seen."""
    if any(stage.evidence.before_traffic for stage in policy.stages):
        return [Problem(f"{name} begins with offline scores, which are no tallies: forecast the stages after them", "--policy")]
    return [
        Problem(f"{name} reads {column.name}, which tallies by time and arm cannot tell", "--policy")
        for column in needs
        if not isinstance(column, Count | Moment | Above | Agreement)
    ]


class UnderWay:
    """A policy and its engine at the last look, in R replications of the truth that fit what was seen.

    `ticks` is the horizon that the policy knows; `ended` (ticks, verdict) where its own rules would have ended it before the
    last look, else None; `doubts` are differences between what was seen and what the policy would have done.
    """

    def __init__(self, truth: Truth, policy: StagedPolicy, make: Maker, seen: Tallies, watch: Callable[[], None]) -> None:
        self.truth, self.seen, self._watch = truth, seen, watch
        world = truth.world
        self.setting = world.setting(truth.rows, truth.replications)
        needs = policy.needs(self.setting)
        missing = [column for column in needs if column not in seen.counts]
        if missing:
            rule = "lacks the column {}, which the policy reads"
            raise InputError([Problem(rule.format(column.name), file=seen.source) for column in missing])
        self.policy = policy
        self.engine = make(truth, needs, policy.mirrors())
        self._columns = {column: place for place, column in enumerate(needs)}
        self.doubts: list[str] = []
        self.ended: tuple[int, Verdict] | None = None
        self.routing = policy.start(self.setting)
        self._feed(seen.by_tick(needs, world.requests))
        ledger = self.engine.ledger
        self._before = {name: np.array(getattr(ledger, name)) for name in ("gain", "failed_more", "slow_more")}

    def _feed(self, counts: Ints) -> None:
        """Play the ticks that were seen; counts (t, K, C)."""
        served = np.zeros((self.seen.ticks, len(self.seen.arms)))
        skipped = self._skipped()
        self.engine.tick = skipped
        for tick in range(self.seen.ticks):
            self._watch()
            if self.routing.rows.size and np.ptp(self.routing.live, axis=0).max() > 1e-9:
                rule = "its course so far hangs on how long people took, which the table does not say"
                raise InputError([Problem(rule, "--policy")])
            shares = (
                self.routing.live[0] if self.routing.rows.size else np.eye(len(self.seen.arms))[self.policy.verdicts.arm[0]]
            )
            served[tick] = _routed(shares, self.truth.world.misrouted)
            # A trial that is over serves on with its arm, so that what is on its way stays in step.
            routing = self.routing if self.routing.rows.size else self._settled_routing()
            live = routing.live if tick < skipped else self.engine.step(routing).live
            if not self.routing.rows.size:
                continue
            shown = np.broadcast_to(counts[tick], (routing.rows.size, *counts[tick].shape))
            self.routing = self.policy.step(Telemetry(tick, shown, self._columns, live))
            if not self.routing.rows.size:
                self.ended = tick + 1, Verdict(int(self.policy.verdicts.verdict[0]))
        self._compare(served)

    def _skipped(self) -> int:
        """How many ticks the engine need not play, as nothing of them is on its way at the look.

        Where requests are independent and what they earn is known at once, `aggregate` carries calls to the next tick only.
        """
        world = self.truth.world
        known_at_once = not world.feedback and not world.lag and isinstance(self.engine, AggregateEngine)
        return max(self.seen.ticks - 2, 0) if known_at_once else 0

    def _settled_routing(self) -> Routing:
        rows = np.arange(self.truth.rows)
        live = np.eye(len(self.seen.arms))[self.policy.verdicts.arm]
        return Routing(rows, live, np.zeros_like(live), np.zeros(rows.size, np.int64))

    def _compare(self, planned: Floats) -> None:
        """Compare the traffic that was seen with the shares (t, K) that the policy would have had. Raises `InputError`."""
        from scipy.stats import chi2

        requests, problems = self.truth.world.requests[: self.seen.ticks], []
        for look, (first, end) in enumerate(zip(self.seen.starts, self.seen.ends, strict=True)):
            weight = requests[first:end]
            total = weight.sum()
            share = (planned[first:end] * weight[:, None]).sum(axis=0) / total if total > 0 else planned[first:end].mean(axis=0)
            came = self.seen.counts[REQUESTS][look].astype(np.float64)
            expected = share * came.sum()
            none = (share <= 1e-12) & (came > 0)
            some = share > 1e-12
            unlike = float(((came[some] - expected[some]) ** 2 / np.maximum(expected[some], 1e-300)).sum())
            unlikely = none.any() or (some.sum() > 1 and chi2.sf(unlike, some.sum() - 1) < _BY_CHANCE)
            if not came.sum() or not unlikely:
                continue
            arm = int(np.abs(came / came.sum() - share).argmax())
            shown, would = came[arm] / came.sum(), share[arm]
            when = format_duration(float(end) * self.setting.tick_s)
            text = f"at {when} the policy would have sent {would:.3%} to {self.seen.arms[arm]}, the table shows {shown:.3%}"
            if abs(shown - would) > _LITTLE:
                problems.append(Problem(f"row {self.seen.rows[look, arm] + 1}: {text}", REQUESTS.name, self.seen.source))
            else:
                self.doubts.append(text)
        if problems:
            if self.ended is not None:
                when = format_duration(self.ended[0] * self.setting.tick_s)
                problems.append(Problem(f"by its own rules the policy would have ended at {when}: {_word(self.ended[1])}"))
            raise InputError(problems)
        if self.ended is not None and self.ended[0] < self.seen.ticks:
            when = format_duration(self.ended[0] * self.setting.tick_s)
            self.doubts.append(f"by its own rules the policy would have ended at {when}: {_word(self.ended[1])}")

    @property
    def over(self) -> bool:
        """Whether the policy has ended, in every replication."""
        return not self.routing.rows.size

    def on(self, evenly: bool = False) -> Course:
        """Play on to the horizon; `evenly` with an even split of live traffic over the arms that are still in."""
        engine, policy = self._copied()
        won = np.zeros(self.truth.rows, bool)

        def heard(done: int, part: Evidence | Guardrail, rows: Ints, findings: NDArray[np.int8]) -> None:
            if isinstance(part, Evidence) and part.declares:
                won[rows] |= (findings[:, 1:] == Finding.PASS).any(axis=1)

        policy.heard = heard
        routing = self.routing
        while routing.rows.size and engine.tick < self.truth.world.ticks:
            self._watch()
            telemetry = engine.step(_even(routing) if evenly else routing)
            routing = policy.step(telemetry)
        return self._told(engine, policy.verdicts, won)

    def stop(self, arm: int) -> Course:
        """End now: ship an arm, or keep the champion (0)."""
        engine, _ = self._copied()
        rows, now = self.truth.rows, self.seen.ticks
        verdict = np.full(rows, Verdict.SHIP if arm else Verdict.KEEP, np.int8)
        at, never = np.full(rows, now), np.full(rows, -1)
        none = np.zeros(rows, np.int64)
        verdicts = Verdicts(
            verdict, np.full(rows, arm), at, never, at.copy(), none, reported=np.full(rows, np.nan), alarms=none, muted=none,
            tries=np.ones(rows, np.int64),
        )  # fmt: skip
        return self._told(engine, verdicts, np.zeros(rows, bool))

    def _copied(self) -> tuple[Engine, StagedPolicy]:
        """The engine and the policy as they are now, to play on with; what is true, they share."""
        kept = (self.truth, self.truth.world, self.setting, *self.policy.stages)
        engine, policy = copy.deepcopy((self.engine, self.policy), {id(each): each for each in kept})
        return engine, policy

    def _told(self, engine: Engine, verdicts: Verdicts, won: Bools) -> Course:
        # What the policy had ended before the look has served, and is booked, up to there.
        decided = verdicts.decided_tick
        engine.settle(verdicts.arm, np.where(decided >= 0, np.maximum(decided, self.seen.ticks), -1))
        columns = account(self.truth, verdicts, engine.ledger)
        columns |= {name: columns[name] - before for name, before in self._before.items()}
        return Course(columns, won)


def _even(routing: Routing) -> Routing:
    """The same arms with equal shares."""
    there = routing.live > 0
    there[:, 0] = True
    return replace(routing, live=there / there.sum(axis=1, keepdims=True))


def _routed(shares: Floats, misrouted: Floats | None) -> Floats:
    """(K,) shares that arrive, after requests that the router sends to the champion by mistake."""
    if misrouted is None:
        return shares
    arrives = shares * (1 - misrouted)
    arrives[0] += (shares * misrouted).sum()
    return arrives


def _word(verdict: Verdict) -> str:
    return verdict.name.lower()
