"""Late feedback of several metrics whose delays are of any law, for the aggregate engine: one draw of what they have in common.

The calls of a tick are told apart by what says how late each metric is: their segment, or whether they are successes of it. Of
each such group is drawn how many go by which laws (see `shared`), for all metrics at once; then each metric waits by itself.
Metrics that no policy reads are drawn so far too, and not further. So which metrics are read changes no draw.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from sim.arrays import Ints
from sim.engine.aggregate.earnings import Earnings, Sums
from sim.engine.aggregate.late import aged, delays_of, failure_of, window_of
from sim.engine.aggregate.refusals import changing
from sim.engine.aggregate.shared import Shared, bins_of, shared
from sim.engine.aggregate.smooth import BY_CALL
from sim.engine.aggregate.waiting import subkeys
from sim.engine.aggregate.wheel import Wheel
from sim.world.by_tick import Late
from sim.world.draws import multinomial
from sim.world.streams import Keys, at
from sim.world.world import Truth, World

# Counters of keys: for each class of calls, 1 and up; of what is drawn of values, by metric; of what waits; of what it earns.
_VALUE, _WAIT, _EARN = 2**40, 2**41, 2**42
Groups = dict[tuple[int, ...], Ints]


def together(world: World) -> tuple[str, ...]:
    """The metrics whose feedback is drawn together, in the order of their names; none where a delay of any law is of one."""
    names = tuple(name for name in sorted(world.feedback) if aged(world.feedback[name]))
    return names if len(names) > 1 else ()


@dataclass(frozen=True)
class Delayed:
    """One of the metrics. laws: by arm and group, which are segments, or failures and successes.

    by_value: the value of an outcome is drawn when the call ends, as it says when it is known; else when it is known. wheels:
    by arm and group; none if nobody reads it.
    """

    earnings: Earnings
    by_value: bool
    laws: tuple[tuple[Late, ...], ...]
    wheels: tuple[tuple[Wheel, ...], ...]

    @classmethod
    def of(cls, truth: Truth, metric: str, segments: int, read: bool) -> Delayed:
        """Nobody waits yet."""
        world = truth.world
        told = world.feedback[metric]
        by_value = told.by_outcome or changing(world, metric)
        window = window_of(told, world.tick_s, world.ticks)
        of_groups = [failure_of(world, metric) if told.by_outcome else told.success, told.success]
        of_groups = of_groups if by_value else [told.success] * segments
        laws = tuple(
            tuple(Late(group[arm], world.tick_s, world.ticks, window) for group in of_groups) for arm in range(len(world.arms))
        )
        wheels = tuple(tuple(Wheel(late, truth.rows) for late in of_arm) for of_arm in laws) if read else ()
        return cls(Earnings.of(truth, metric), by_value, laws, wheels)


class Together:
    """The feedback of the metrics of `together`, for the live or the mirrored calls of R replications.

    read: the metrics whose sums are asked for. limits_s: where bands of latency are cut.
    """

    def __init__(self, truth: Truth, read: Collection[str], limits_s: Sequence[float]) -> None:
        world = truth.world
        self._names, self._limits_s = together(world), tuple(limits_s)
        segments = 1 if world.segments is None or not world.segments.factors else world.segments.share.size
        self._metrics = [Delayed.of(truth, name, segments, name in read) for name in self._names]
        self._latency, self._others, self._calls = world.latency, delays_of(world), float(world.requests.mean())
        self._slowness = np.ones((1, len(world.arms))) if world.change is None else world.change.slowness
        self._laws = [tuple(metric.laws[arm] for metric in self._metrics) for arm in range(len(world.arms))]
        self._bins = [bins_of(of_arm, self._calls) for of_arm in self._laws]
        # By arm: what `shared` says of groups, at the latencies of this tick and of the one before.
        self._kept: list[dict[tuple[tuple[int, ...], float], Shared]] = [{} for _ in world.arms]
        self._made: tuple[int, dict[str, Sums]] = (-1, {})

    def stream(self, metric: str) -> OneOf:
        """The feedback of one of them."""
        return OneOf(self, metric)

    def sums(self, metric: str, rows: Ints, tick: int, ended: Ints, late: Ints, key: Keys) -> Sums:
        """As `FeedbackStream.arrive`. The first metric that is asked for in a tick has all of them drawn."""
        if self._made[0] != tick:
            self._made = tick, self._drawn(rows, tick, (ended, late), key)
        return self._made[1][metric]

    def drop(self, rows: Ints) -> None:
        """Drop the feedback still to come for these rows."""
        for metric in self._metrics:
            for wheel in (wheel for of_arm in metric.wheels for wheel in of_arm):
                wheel.drop(rows)

    def _drawn(self, rows: Ints, tick: int, ends: tuple[Ints, Ints], key: Keys) -> dict[str, Sums]:
        groups = [[self._groups(each[..., cell], rows, tick - when, at(key, _VALUE + when * each.shape[3] + cell))
                   for cell in range(each.shape[3])] for when, each in enumerate(ends)]  # fmt: skip
        read = [metric for metric in self._metrics if metric.wheels]
        known = {id(metric): np.zeros((2, *ends[0].shape[:2], len(metric.laws[0])), np.int64) for metric in read}
        for arm in range(ends[0].shape[1]):
            scales = [float(self._slowness[min(max(each, 0), len(self._slowness) - 1)][arm]) for each in (tick, tick - 1)]
            wait = [at(key[:, arm], _WAIT + place) for place in range(len(self._metrics))]
            keyed = [subkeys(each, len(metric.laws[arm])) for metric, each in zip(self._metrics, wait, strict=True)]
            self._enter(arm, rows, tick, groups, scales, key[:, arm], keyed)
            for metric in read:
                for group, wheel in enumerate(metric.wheels[arm]):
                    known[id(metric)][:, :, arm, group] = wheel.due(rows, tick)
        return {
            name: self._sums(metric, known[id(metric)], rows, tick, at(key, _EARN + place))
            for place, (name, metric) in enumerate(zip(self._names, self._metrics, strict=True))
            if metric.wheels
        }

    def _sums(self, metric: Delayed, found: Ints, rows: Ints, tick: int, key: Keys) -> Sums:
        known, expired = found
        count = (known + expired).sum(axis=2)
        if metric.by_value:
            return count, known[..., 1], known[..., 1]
        return count, *metric.earnings.sums(known, rows, tick, key)

    def _groups(self, ended: Ints, rows: Ints, tick: int, key: Keys) -> Groups:
        """(r, K) each: calls (r, K, S) that arrived in a tick, by the group of each metric."""
        found: Groups = {}
        for segment in range(ended.shape[2]):
            split: Groups = {(): ended[..., segment]}
            for place, metric in enumerate(self._metrics):
                if not metric.by_value:
                    split = {(*groups, segment): calls for groups, calls in split.items()}
                    continue
                before, split = split, {}
                for number, (groups, calls) in enumerate(before.items()):
                    keyed = at(at(key, segment + 1), (place << 8) + number)
                    ones = metric.earnings.in_segment(calls, segment, rows, tick, keyed)
                    split |= {(*groups, 0): calls - ones, (*groups, 1): ones}
            for groups, calls in split.items():
                found[groups] = found[groups] + calls if groups in found else calls
        return found

    def _enter(
        self, arm: int, rows: Ints, tick: int, groups: Sequence[Sequence[Groups]], scales: Sequence[float], key: Keys,
        keyed: Sequence[Keys],
    ) -> None:  # fmt: skip
        """What ends in a tick, by `groups` of each class, begins to wait. key (r,); keyed (r, groups) of each metric."""
        bins = self._bins[arm]
        self._kept[arm] = {of: laws for of, laws in self._kept[arm].items() if of[1] in scales}
        size = len(bins.edges_s) - 1
        # (groups, bins, r) by metric: calls that go by the law of a bin.
        by_law = [np.zeros((len(metric.laws[arm]), size, rows.size), np.int64) for metric in self._metrics]
        for metric, keys in zip(self._metrics, keyed, strict=True):
            for group, wheel in enumerate(metric.wheels[arm] if metric.wheels else ()):
                wheel.split(rows, tick, keys[:, group])
        number = 0
        for when, by_cell in enumerate(groups):
            for cell, of_cell in enumerate(by_cell):
                for of_metrics, calls in of_cell.items():
                    number += 1
                    if calls[:, arm].any():
                        laws = self._shared(arm, of_metrics, scales[when])
                        self._spread((laws, arm, of_metrics), (when, cell), rows, tick, calls[:, arm], by_law, at(key, number))
        for metric, mine, keys in zip(self._metrics, by_law, keyed, strict=True):
            for group, wheel in enumerate(metric.wheels[arm] if metric.wheels else ()):
                of_bins = bins.laws[metric.laws[arm][group]]
                for bin_, law in enumerate(of_bins):
                    wheel.enter(rows, tick, mine[group, bin_], law, at(keys[:, group], bin_ + 1))

    def _shared(self, arm: int, group: tuple[int, ...], scale: float) -> Shared:
        if (group, scale) not in self._kept[arm]:
            lates = tuple(metric.laws[arm][place] for metric, place in zip(self._metrics, group, strict=True))
            others, latency = tuple(self._others[arm]), self._latency[arm]
            found = shared(lates, latency, scale, self._limits_s, others, self._laws[arm], self._calls)  # type: ignore[arg-type]
            self._kept[arm][group, scale] = found
        return self._kept[arm][group, scale]

    def _spread(
        self, of: tuple[Shared, int, tuple[int, ...]], where: tuple[int, int], rows: Ints, tick: int, calls: Ints,
        by_law: Sequence[Ints], key: Keys,
    ) -> None:  # fmt: skip
        """Calls (r,) of a class and group: adds those that go by the laws of bins to by_law, and places the others."""
        laws, arm, group = of
        drawn = multinomial(calls, laws.chance[where], at(key, 1))
        for place in np.flatnonzero(drawn.any(axis=0)).tolist():
            bin_, apart = divmod(place, laws.sets)
            some, keyed = drawn[:, place], at(key, place + 2)
            alone = apart.bit_count() == 1
            row, places = laws.apart((*where, bin_, apart), some, keyed) if apart.bit_count() > 1 else (rows[:0], [])
            for number, metric in enumerate(self._metrics):
                if not apart >> number & 1:
                    by_law[number][group[number], bin_] += some
                elif metric.wheels:
                    wheel = metric.wheels[arm][group[number]]
                    if alone:
                        law = laws.alone[(number, *where, bin_)]
                        # Blocks pay where a draw for each tick would take more.
                        many = some * BY_CALL > np.count_nonzero(law.chance)
                        wheel.spread(rows, tick, np.where(many, 0, some), law.chance, keyed)
                        wheel.enter(rows, tick, np.where(many, some, 0), law, keyed)
                    else:
                        wheel.place(rows[row], tick, places[number])


@dataclass(frozen=True)
class OneOf:
    """The feedback of one metric of several that are drawn together; `key` is the same for all of them."""

    together: Together
    metric: str

    def arrive(self, rows: Ints, tick: int, ended: Ints, late: Ints, key: Keys) -> Sums:
        return self.together.sums(self.metric, rows, tick, ended, late, key)

    def drop(self, rows: Ints) -> None:
        self.together.drop(rows)
