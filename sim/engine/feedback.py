"""Telemetry that needs single requests: covariates, users, segments, caps and products of outcomes.

Both event engines log the feedback of each request. This module turns the log into integer sums, so that the order of the
log does not matter. Sums over users telescope: a tick adds the growth of these sums, so that the totals of a stage are the
sums over its users. Feedback of an earlier cohort is dropped.

Memory holds the sums of the ticks still to come, one (count, sum) for each user and lane, and the feedback of users that is not
known yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats, Ints
from sim.engine.needs import of_class
from sim.engine.visits import Visits, put
from sim.engine.weighed import WeighedUsers
from sim.jit import compiled
from sim.policy.columns import (
    MOMENTS,
    AtVisit,
    CappedMoment,
    Column,
    CovariateMoment,
    JointUserMoment,
    Moment,
    Product,
    SegmentMoment,
    UserMoment,
    WeighedUserMoment,
    covariate_moments,
    joint_user_moments,
    user_moments,
)
from sim.world.covariate import covariate_of, pasts
from sim.world.potential import Potential, segment_of, user_of
from sim.world.tables import readable
from sim.world.world import Truth

# The fields of a logged feedback. The lane is the arm for live calls, and arm + K for mirrored calls. COUNTS is 1 where an
# outcome becomes known. One that counts as 0 until it is known has two entries: it counts, with 0; then its value, not counted.
# VISITED is the tick in which the call was sent.
ROW, KNOWN, LANE, METRIC, REQUEST, VALUE, COUNTS, VISITED, FIELDS = range(9)


def own_columns(metric: str) -> tuple[Column, ...]:
    """The columns that have a slot for every logged metric, in this order. Segments, caps and products follow them."""
    return (*covariate_moments(metric), *user_moments(metric), *joint_user_moments(metric))


_OWN = own_columns("")
SLOTS = len(_OWN)
X_SUM, X_SQUARE, X_CROSS = (
    _OWN.index(column) for column in (CovariateMoment("", "sum"), CovariateMoment("", "square"), CovariateMoment("", "cross"))
)
USERS, SQUARE, CROSS, SIZES = (
    _OWN.index(column)
    for column in (UserMoment("", "count"), UserMoment("", "square"), UserMoment("", "cross"), UserMoment("", "sizes"))
)
JOINT_SQUARE, JOINT_CROSS, JOINT_COUNTER, JOINT_SIZES = (
    _OWN.index(column)
    for column in (
        JointUserMoment("", "square"), JointUserMoment("", "cross"), JointUserMoment("", "counter"),
        JointUserMoment("", "sizes"),
    )
)  # fmt: skip
EACH_SEGMENT = len(MOMENTS)

PLAN = np.dtype(
    [
        (name, np.int64)
        for name in ("first", "covariate", "user", "segments", "moments", "caps", "caps_end", "products", "products_end")
    ]
)
"""(M,) the plan of a metric: its first slot; whether covariates, users and segments are asked for; the first slot of its
moments where they are weighed, or -1; and the ranges of its caps (cap, slot) and products (other metric, slot). A product
belongs to the metric that is logged later."""


def asked(columns: Sequence[Column]) -> list[str]:
    """The metrics whose feedback must be logged."""
    return sorted({name for column in columns if column.per_request for name in column.metrics})


def metrics_of(columns: Sequence[Column]) -> tuple[list[str], int]:
    """The metrics whose values an engine needs, logged metrics first, and the number of logged metrics."""
    logged = asked(columns)
    others = sorted({name for column in columns for name in column.metrics if name not in logged})
    return [*logged, *others], len(logged)


class FeedbackLog:
    """The feedback log of a block of R replications, summed by tick. `potential` gives the metrics' values and the users."""

    def __init__(self, truth: Truth, potential: Potential, columns: Sequence[Column]) -> None:
        self.metrics = asked(columns)
        self._truth, self._potential = truth, potential
        arms = len(truth.world.arms)
        logged = [column.of if isinstance(column, AtVisit) else column for column in columns if column.per_request]
        self._plan, self._caps, self._products, slots = self._planned(list(dict.fromkeys(logged)))
        # For every column: its place, whether it is mirrored, and its slot.
        self._columns = [
            (place, column.mirrored, slots[column.as_live()])
            for place, column in enumerate(columns)
            if column.per_request and not isinstance(column, WeighedUserMoment | AtVisit)
        ]
        visited = of_class(columns, AtVisit)
        self._visits = Visits(truth, [slots[column.of] for _, column in visited], len(slots))
        self._in_sums = [place for place, _ in visited]
        self._weighed = WeighedUsers(truth, potential, columns, self.metrics)
        self._past = pasts(truth, potential.metrics if self.metrics else ())
        mirrored = any(mirrored for _, mirrored, _ in self._columns)
        self._lanes = arms * (2 if mirrored else 1)
        # The sums of the current tick and the next ones, as a ring.
        self._ahead = 1
        self._sums = np.zeros(
            (truth.rows, self._ahead, 2 * arms if self.metrics else 0, 1 + max(slots.values(), default=0)), np.int64
        )
        self._by_user = self._plan["user"] > 0
        population = truth.world.population
        self._place = np.cumsum(self._by_user) - 1
        # (R, M, users, lanes, 2): count and sum of each user's outcomes; empty if no column needs users.
        kept = 0 if population is None else int(self._by_user.sum())
        users = 0 if population is None or kept == 0 else population.users
        self._tally = np.zeros((truth.rows, kept, users, self._lanes, 2), np.int64)
        self._later: dict[int, list[Ints]] = {}

    def enter(self, rows: Ints) -> None:
        """Start a new cohort in rows (r,): its sums start at 0."""
        if not self.metrics or not rows.size:
            return
        self._sums[rows] = 0
        self._tally[rows] = 0
        self._visits.enter(rows)
        self._weighed.enter(rows)
        for known, logs in self._later.items():
            self._later[known] = [log[~np.isin(log[:, ROW], rows)] for log in logs]

    def weigh(self, rows: Ints, tick: int, live: Floats) -> None:
        """The shares live (r, K) of a tick that begins, in replications `rows` (r,), at which what is sent in it is weighed."""
        if self.metrics:
            self._visits.weigh(rows, tick, live)

    def book(self, log: Ints, tick: int) -> None:
        """Add a log (n, FIELDS) of a tick, or of a part of it, to the sums."""
        relevant = (log[:, KNOWN] < self._truth.world.ticks) & (log[:, LANE] < self._lanes)
        log = log if relevant.all() else log[relevant]
        if not len(log):
            return
        self._reach(tick, int(log[:, KNOWN].max()))
        _add(
            *self._potential.tables, self._past, log, self._plan, self._caps, self._products, self._sums, *self._visits.tables
        )  # fmt: skip
        if not self._by_user.any():
            return
        of_users = self._by_user[log[:, METRIC]]
        later = of_users & (log[:, KNOWN] > tick)
        now = of_users & ~later
        self._count(log if now.all() else log[now])
        for known in np.unique(log[later, KNOWN]):
            self._later.setdefault(int(known), []).append(log[later & (log[:, KNOWN] == known)])

    def report(self, rows: Ints, tick: int, counts: Ints) -> Floats | None:
        """Write what became known in a tick into counts (r, K, C), in the columns that need single requests.

        Returns the sums of the columns that are weighed at the visit, as in `Telemetry.weighed`; None without such columns.
        """
        if not self.metrics:
            return None
        for log in self._later.pop(tick, ()):
            self._count(log)
        arms, slot = counts.shape[1], tick % self._ahead
        for place, mirrored, of in self._columns:
            lanes = slice(arms, None) if mirrored else slice(arms)
            counts[..., place] = self._sums[rows, slot, lanes, of]
        counts[..., self._in_sums] = 0
        self._sums[:, slot] = 0
        self._weighed.report(rows, counts)
        return self._visits.report(rows, slot)

    def _count(self, log: Ints) -> None:
        if len(log):
            arms = self._sums.shape[2] // 2
            _count_users(*self._potential.tables, log, self._plan, self._place, self._sums, self._tally, arms)
            self._weighed.count(log, self._visits.weight)

    def _reach(self, tick: int, latest: int) -> None:
        """Make room for the ticks from this one up to the latest."""
        if latest - tick < self._ahead:
            return
        ahead = 1 << (latest - tick).bit_length()
        grown = np.zeros((len(self._sums), ahead, *self._sums.shape[2:]), np.int64)
        ticks = np.arange(tick, tick + self._ahead)
        grown[:, ticks % ahead] = self._sums[:, ticks % self._ahead]
        self._visits.grow(tick, self._ahead, ahead)
        self._ahead, self._sums = ahead, grown

    def _planned(self, needs: Sequence[Column]) -> tuple[NDArray[Any], Ints, Ints, dict[Column, int]]:
        """The plan of every metric, the tables of caps and products, and the slots of columns, keyed by the live columns."""
        metrics, segments = self._potential.metrics, self._truth.world.segments
        plan = np.zeros(max(len(metrics), 1), PLAN)
        slots: dict[Column, int] = {}
        caps: list[tuple[int, int]] = []
        products: list[tuple[int, int]] = []

        def take(*columns: Column) -> int:
            """Reserve slots for some columns. Returns the first slot."""
            first = len(slots)
            slots.update({column: first + place for place, column in enumerate(columns)})
            return first

        for m, name in enumerate(metrics[: len(self.metrics)]):
            mine = [column for column in needs if column.metrics[0] == name]
            plan["first"][m] = take(*own_columns(name))
            plan["covariate"][m] = bool(of_class(mine, CovariateMoment))
            plan["user"][m] = any(column.by_user for column in mine)
            asked_for = {column.moment for _, column in of_class(mine, Moment)}
            plan["moments"][m] = take(*(Moment(name, moment) for moment in MOMENTS)) if asked_for else -1
            plan["segments"][m] = bool(of_class(mine, SegmentMoment))
            if plan["segments"][m] and segments is not None:
                take(*(SegmentMoment(name, segment, moment) for segment in segments.names for moment in MOMENTS))
            plan["caps"][m] = len(caps)
            for cap in dict.fromkeys(column.cap for _, column in of_class(mine, CappedMoment)):
                first = take(CappedMoment(name, cap, "sum"), CappedMoment(name, cap, "square"))
                # No value of 64 bits is above the largest cap.
                caps.append((min(round(cap / self._grid(name)), 2**62), first))
            plan["caps_end"][m] = len(caps)
            plan["products"][m] = len(products)
            for product in dict.fromkeys(column.as_live() for _, column in of_class(needs, Product)):
                pair = [metrics.index(metric) for metric in product.metrics]
                if max(pair) == m:
                    products.append((min(pair), take(product)))
            plan["products_end"][m] = len(products)
        return readable(plan), _table(caps), _table(products), slots

    def _grid(self, name: str) -> float:
        return next(outcome.grid for outcome in self._truth.world.outcomes if outcome.spec.name == name)


def _table(pairs: Sequence[tuple[int, int]]) -> Ints:
    return np.array(pairs or [(0, 0)], np.int64)


@compiled
def _add(
    rules_1: Any, rows: Any, arms: Any, metrics: Any, cells: Any, floats: Any, ints: Any, past: Any, log: Any, plan: Any,
    caps: Any, products: Any, sums: Any, place_of: Any, weight: Any, weighed: Any,
) -> None:  # fmt: skip
    """Add to the sums that do not depend on a user's other requests."""
    rules, count, ahead = rules_1[0], arms.shape[1], sums.shape[1]
    for j in range(log.shape[0]):
        r, lane, m, i, value, counts = log[j, 0], log[j, 2], log[j, 3], log[j, 4], log[j, 5], log[j, 6]
        tick, visited = log[j, 1] % ahead, log[j, 7]
        of = plan[m]
        row = rows[r]
        user = i
        if rules.users > 0 and (of.covariate or of.segments):
            user = user_of(rules, row, floats, ints, i)
        segment = segment_of(rules, row, floats, user) if of.covariate or of.segments else 0
        if of.covariate:
            arm = lane if lane < count else lane - count
            x = covariate_of(
                rules, row, metrics[r, m], past[r, m], cells[r, m, arm], cells[r, m, 0], floats, ints, count, i, user, segment
            )
            for slot, more in ((X_SUM, counts * x), (X_SQUARE, counts * x * x), (X_CROSS, x * value)):
                put(sums, weighed, place_of, weight, r, tick, visited, lane, of.first + slot, more)
        if of.moments >= 0:
            for slot, more in ((0, counts), (1, value), (2, value * value)):
                put(sums, weighed, place_of, weight, r, tick, visited, lane, of.moments + slot, more)
        if of.segments:
            place = of.first + SLOTS + EACH_SEGMENT * segment
            if of.moments >= 0:
                place += EACH_SEGMENT
            for slot, more in ((0, counts), (1, value), (2, value * value)):
                put(sums, weighed, place_of, weight, r, tick, visited, lane, place + slot, more)
        for c in range(of.caps, of.caps_end):
            capped = min(value, caps[c, 0])
            # A correction takes away what the outcome counted as, which was 0 below the cap.
            before = 0 if counts == 1 else min(0, caps[c, 0])
            for slot, more in ((0, capped - before), (1, capped * capped - before * before)):
                put(sums, weighed, place_of, weight, r, tick, visited, lane, caps[c, 1] + slot, more)
        for c in range(of.products, of.products_end):
            # The entries of one call are adjacent in the log.
            other = j
            while log[other, 3] != products[c, 0]:
                other -= 1
            put(sums, weighed, place_of, weight, r, tick, visited, lane, products[c, 1], value * log[other, 5])


@compiled
def _count_users(
    rules_1: Any, rows: Any, arms: Any, metrics: Any, cells: Any, floats: Any, ints: Any, log: Any, plan: Any, where: Any,
    sums: Any, tally: Any, count: Any,
) -> None:  # fmt: skip
    """Add the growth of the sums over users of s^2, n s and n^2, in a lane and together with the champion's lane."""
    rules, ahead = rules_1[0], sums.shape[1]
    for j in range(log.shape[0]):
        r, lane, m, i, value, counts = log[j, 0], log[j, 2], log[j, 3], log[j, 4], log[j, 5], log[j, 6]
        tick, first = log[j, 1] % ahead, plan[m].first
        base = 0 if lane < count else count
        # Of a user with one request, a correction comes after the count.
        size, total = 1 - counts, 0
        if rules.users > 0:
            user = user_of(rules, rows[r], floats, ints, i)
            of = tally[r, where[m], user]
            size, total = of[lane, 0], of[lane, 1]
            of[lane, 0] += counts
            of[lane, 1] += value
            for other in range(base, base + count):
                # In the champion's own lane both sums are the same.
                if lane == base and other != base:
                    sums[r, tick, other, first + JOINT_SQUARE] += value * of[other, 1]
                    sums[r, tick, other, first + JOINT_CROSS] += counts * of[other, 1]
                    sums[r, tick, other, first + JOINT_COUNTER] += value * of[other, 0]
                    sums[r, tick, other, first + JOINT_SIZES] += counts * of[other, 0]
            if lane != base:
                sums[r, tick, lane, first + JOINT_SQUARE] += of[base, 1] * value
                sums[r, tick, lane, first + JOINT_CROSS] += of[base, 0] * value
                sums[r, tick, lane, first + JOINT_COUNTER] += counts * of[base, 1]
                sums[r, tick, lane, first + JOINT_SIZES] += counts * of[base, 0]
        square, squares = 2 * total * value + value * value, counts * (2 * size + counts)
        cross = size * value + counts * (total + value)
        if size == 0 and counts == 1:
            sums[r, tick, lane, first + USERS] += 1
        sums[r, tick, lane, first + SQUARE] += square
        sums[r, tick, lane, first + CROSS] += cross
        sums[r, tick, lane, first + SIZES] += squares
        if lane == base:
            sums[r, tick, lane, first + JOINT_SQUARE] += square
            sums[r, tick, lane, first + JOINT_CROSS] += cross
            sums[r, tick, lane, first + JOINT_COUNTER] += cross
            sums[r, tick, lane, first + JOINT_SIZES] += squares
