"""Which ticks of the aggregate engine are played in one compiled call, and what that call is given.

One call does what some two hundred passes over arrays do. It pays most where few replications are left. While a policy changes
nothing, one call plays many ticks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from sim import ways
from sim.arrays import Floats, Ints, whole
from sim.engine.aggregate.ends import Ends, Timing
from sim.engine.aggregate.feedback import FeedbackStream, Prompt
from sim.engine.aggregate.refusals import NEVER
from sim.policy.base import Routing
from sim.policy.columns import MOMENTS, Above, Column, Count, Moment
from sim.policy.stretch import Stretch
from sim.world.draws import among_the_rest
from sim.world.outcomes import Binary
from sim.world.streams import Keys, number_of
from sim.world.world import Truth

Carried = tuple[Ints, Ints, Ints]
"""Good answers (R, L, 1, 1), errors (R, L) and slow calls (R, T, limits) that end in the next tick."""


@dataclass(frozen=True)
class Played:
    """What a call makes of so many `ticks`: see `kernel.play`. live (ticks, r, K)."""

    ticks: int
    counts: Ints
    live: Ints
    mirrored: Ints
    fails: Ints
    violates: Ints
    known: Ints
    ended: Ints
    before: Ints
    errors: Ints


@dataclass
class Fused:
    """Plays ticks of worlds without segments, late feedback and lost calls in one call.

    means (M, R, K), metrics (M,), failed (M, 2): see `kernel.play`. `elsewhere` are the outcomes that it leaves to the engine.
    """

    truth: Truth
    timing: Timing
    key: Keys
    planes: int
    plan: Ints
    elsewhere: tuple[tuple[int, Moment], ...]
    means: Floats
    metrics: Keys
    failed: Ints
    times_errors: bool
    objective: int
    _bands: tuple[Ends, Floats, Floats] | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls, truth: Truth, needs: tuple[Column, ...], timing: Timing, planes: int, limits_s: tuple[float, ...],
        feedback: Mapping[tuple[str, bool], FeedbackStream], key: Keys,
    ) -> Fused | None:  # fmt: skip
        """The calls for a world; None where the engine draws array by array."""
        world = truth.world
        if world.loss != 0 or world.feedback or (world.segments is not None and world.segments.factors) or truth.joint:
            return None
        if planes == 2 and world.writes:
            return None
        if not all(isinstance(stream, Prompt) for stream in feedback.values()):
            return None
        means = _constant_chances(feedback)
        names = list(means)
        failed = {each.spec.name: each.failed_value for each in world.outcomes} if world.counts_failures else {}
        plan, elsewhere = np.full((len(needs), 3), -1), []
        for place, column in enumerate(needs):
            of = _codes(column, names, limits_s)
            if of is not None:
                plan[place] = of[0], len(world.arms) if column.mirrored else 0, of[1]
            elif isinstance(column, Moment):
                elsewhere.append((place, column))
        return cls(
            truth, timing, key, planes, plan, tuple(elsewhere),
            np.array([means[name] for name in names]).reshape(len(names), truth.rows, len(world.arms)),
            np.array([number_of(name) for name in names], np.uint64),
            np.array([(name in failed, failed.get(name, 0)) for name in names], np.int64).reshape(len(names), 2),
            any(isinstance(column, Above) for column in needs),
            -1 if world.slo_s is None else limits_s.index(world.slo_s),
        )  # fmt: skip

    @cached_property
    def strides(self) -> bool:
        """Whether every tick is like the one before, but for what arrives, so that one call may play many."""
        world = self.truth.world
        uneven = world.arrivals.trace is not None or world.arrivals.bursts is not None
        return not (self.elsewhere or self.planes == 2 or uneven or world.change is not None or world.warm_ups is not None)

    def play(
        self, tick: int, rows: Ints, weights: Floats, routing: Routing, carried: Carried, stretch: Stretch | None = None
    ) -> Played | None:  # fmt: skip
        """Play a tick of replications rows (r,), with shares (r, K) of what arrives; None where NumPy draws.

        With a stretch, which is for worlds that `strides` only, as many ticks as it lasts.
        """
        good, bad, slowly = carried
        if not ways.compiles(rows.size * bad.shape[1]):
            return None
        from sim.engine.aggregate import kernel

        arms, lanes = weights.shape[1], bad.shape[1]
        rate = self.truth.conditions(tick).error_rate
        ends = self.timing.ends(rows, tick)
        shape, most = (rows.size, arms), 1 if stretch is None else stretch.ticks
        counts = np.zeros((*shape, len(self.plan)), np.int64)
        live, mirrored = np.empty((most, *shape), np.int64), np.zeros(shape, np.int64)
        fails, violates = np.empty((2, rows.size), np.int64)
        known, ended, before, errors = np.empty((4, rows.size, lanes), np.int64)
        ticks = kernel.play(
            tick, most, whole(rows), self._arrivals, whole(weights), whole(routing.mirror), self.key, whole(rate),
            whole(ends.late), *self._shares(ends), self.times_errors, self.objective, good[..., 0, 0], bad, slowly, self.means,
            self.metrics, self.failed, self.plan, counts, live, mirrored, fails, violates, known, ended, before, errors,
            *self._sums(routing, stretch),
        )  # fmt: skip
        return Played(ticks, counts, live[:ticks], mirrored, fails, violates, known, ended, before, errors)

    @cached_property
    def _arrivals(self) -> Ints:
        return whole(self.truth.arrivals)

    def _sums(self, routing: Routing, stretch: Stretch | None) -> tuple[Any, ...]:
        """The last arguments of `kernel.play`. Nothing is added to without a stretch."""
        if stretch is None:
            return self._nothing
        return (
            True, whole(routing.live), stretch.total, stretch.contrasts, stretch.contrasted, stretch.counted, stretch.scores,
            stretch.moments, stretch.expected, stretch.grid, stretch.within, stretch.pooled,
        )  # fmt: skip

    @cached_property
    def _nothing(self) -> tuple[Any, ...]:
        # Arrays of the same types, so that the call is compiled once.
        none, empty = np.zeros(0, np.int64), np.zeros((0, 0))
        shares, total, contrasts, scores = empty, np.zeros((0, 0, 0), np.int64), np.zeros((0,) * 5), np.zeros((0,) * 3)
        return False, shares, total, contrasts, none, 0, scores, none, 0.0, 0.0, empty, empty

    def _shares(self, ends: Ends) -> tuple[Floats, Floats]:
        """(2, A, L, B) each: the chance of every latency band among those left, of answers and of errors."""
        if self._bands is None or self._bands[0] is not ends:
            answers = np.stack([among_the_rest(each[:, :, 0]) for each in ends.band_by_pattern])
            self._bands = ends, answers, np.stack([among_the_rest(each) for each in ends.band])
        return self._bands[1:]


def _constant_chances(feedback: Mapping[tuple[str, bool], FeedbackStream]) -> dict[str, Floats]:
    """{metric: (R, K)} the chances of binary metrics that stay as they are."""
    found = {}
    for (metric, _), stream in feedback.items():
        assert isinstance(stream, Prompt)
        outcome = stream.earnings.outcome
        if isinstance(outcome, Binary) and stream.earnings.by_tick is None:
            found[metric] = np.minimum(outcome.mean, 1.0)
    return found


def _codes(column: Column, metrics: list[str], limits_s: tuple[float, ...]) -> tuple[int, int] | None:
    """What a column holds, and of which metric or limit, by the numbers of `kernel`; None where it is filled elsewhere."""
    match column:
        case Count() if column.as_live() not in NEVER:
            return ("requests", "responses", "errors").index(column.kind), 0
        case Above():
            return 3, limits_s.index(column.limit_s)
        case Moment() if column.metric in metrics:
            return 4 + MOMENTS.index(column.moment), metrics.index(column.metric)
    return None
