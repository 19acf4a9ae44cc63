"""Standard errors by user, which stay valid where the requests of a user are correlated."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np

from sim.arrays import Bools, Floats, Ints
from sim.policy.adjust.base import Adjust, Pair, over, split, totals
from sim.policy.base import View
from sim.policy.columns import (
    WEIGHT_BITS,
    Column,
    UserMoment,
    WeighedKind,
    WeighedUserMoment,
    joint_user_moments,
    moments_of,
    user_moments,
    weighed_user_moments,
)
from sim.policy.setting import DeclaredSetting, Setting

if TYPE_CHECKING:
    from sim.stats.within_ticks import Difference


class Cluster(Adjust):
    """The mean per request, with a standard error that is robust to whatever the requests of a user have in common.

    The mean is a ratio, of sums over users to numbers of requests; its variance is that of users' residuals (Liang & Zeger
    1986, by the delta method: Deng, Knoblich & Lu 2018, eq. 4). Users who meet both arms, because requests are assigned one by
    one, weights change or the router strays, count with their covariance. Within ticks, outcomes are weighed first
    (`sim.stats.by_user`). Valid with many users, none of whom dominates.

    >>> Cluster().least_users
    50
    """

    least_users: ClassVar[int] = 50

    kind: Literal["cluster"] = "cluster"
    single: ClassVar[bool] = True

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        metric = setting.metrics[setting.primary]
        return (*moments_of(metric), *user_moments(setting.primary), *joint_user_moments(setting.primary))

    def needs_within_ticks(self, setting: Setting) -> tuple[Column, ...]:
        metric = setting.metrics[setting.primary]
        return (*moments_of(metric), UserMoment(metric.name, "count"), *weighed_user_moments(metric.name))

    def contrasts(self, setting: Setting) -> tuple[Column, ...]:
        return moments_of(setting.metrics[setting.primary])

    def estimates(self, view: View, rows: Bools) -> Pair:
        from sim.stats.moments import Moments
        from sim.stats.ratio import ratio, shared_covariance

        metric = view.setting.metrics[view.setting.primary]
        grid = metric.grid
        sizes, sums = totals(view, rows, *moments_of(metric)[:2])
        users, square, cross, squares = totals(view, rows, *user_moments(metric.name))
        moments = (users, sums * grid, sizes, square * grid**2, squares, cross * grid)
        champion, challenger = (Moments(*part) for part in zip(*(split(each) for each in moments), strict=True))
        yy, xy, yx, xx = (split(each)[1] for each in totals(view, rows, *joint_user_moments(metric.name)))
        covariance = shared_covariance(champion, challenger, yy * grid**2, xy * grid, yx * grid, xx)
        return Pair(ratio(champion), ratio(challenger), covariance)

    def gain(self, view: View, rows: Bools) -> Floats:
        from sim.stats.contrast import z_test
        from sim.stats.two_sample import two_sample

        champion, others = zip(
            *(split(each[rows]) for each in view.moments(view.setting.metrics[view.setting.primary])), strict=True
        )
        pair = self.estimates(view, rows)
        adjusted = z_test(pair.champion, pair.challenger, pair.covariance).standard_error
        return over(
            two_sample("welch", *champion, *others).standard_error ** 2, np.where(np.isfinite(adjusted), adjusted, 0.0) ** 2
        )

    def within_ticks(self, view: View, rows: Bools) -> tuple[Difference, Floats]:
        from sim.stats.by_user import UserSums, difference_by_user
        from sim.stats.within_ticks import FIRST, difference

        metric, contrasts = view.setting.metrics[view.setting.primary], view.contrasts.part(rows)
        sides = contrasts.outcomes(metric)
        plain = difference(*sides)
        users = split(totals(view, rows, UserMoment(metric.name, "count"))[0])
        (ss, ns, nn, base_ss, base_ns, base_nn, joint_ss, cross, counter, joint_nn) = _weighed(view, rows, metric.name)
        squares = (base_ss, base_ns, base_nn), (ss, ns, nn)
        champion, challenger = (
            UserSums(count, side.count[..., FIRST], side.total[..., FIRST], square * metric.grid**2, cross * metric.grid, sizes)
            for count, side, (square, cross, sizes) in zip(users, sides, squares, strict=True)
        )
        found = difference_by_user(
            champion, challenger, joint_ss * metric.grid**2, cross * metric.grid, counter * metric.grid, joint_nn, plain
        )
        adjusted = np.maximum(found.variance0 + found.variance1 - 2 * found.covariance, 0.0)
        return found, over(plain.variance0 + plain.variance1, adjusted)

    def independent(self, view: View) -> Ints:
        return view.of_total(UserMoment(view.setting.primary, "count"))

    def ready(self, view: View) -> Bools:
        return np.asarray(super().ready(view) & (self.independent(view) >= self.least_users))

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        if setting.users:
            return []
        return [("kind", "cluster needs `users`: without them every request is a user of its own")]


def _weighed(view: View, rows: Bools, metric: str) -> list[Floats]:
    """(rows, K - 1) each: the sums over users, weighed within ticks, in the order of `WeighedKind`."""
    whole, rest = (
        totals(view, rows, *(WeighedUserMoment(metric, kind, digits) for kind in get_args(WeighedKind)))
        for digits in ("whole", "rest")
    )
    unit = 2.0 ** (2 * WEIGHT_BITS)
    return [split(more + less / unit)[1] for more, less in zip(whole, rest, strict=True)]
