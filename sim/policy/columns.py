"""Telemetry columns: what monitoring can be asked to count or to sum, each a value.

A part of a stage returns the columns that it needs; an engine fills those that it can, and refuses any other by its name.
Equal columns are one column, so they serve as keys: `Telemetry.columns` maps each to its place. A name is for people to read:
nothing is made of it again.

All columns are integers, by replication, arm and tick. Amounts are in units of their metric's grid.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import KW_ONLY, dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self, get_args

from sim.errors import InputError
from sim.spelling import there_are
from sim.units import format_duration

if TYPE_CHECKING:
    from sim.policy.setting import Metric

CountKind = Literal["requests", "responses", "errors", "timeouts", "rejections", "retries"]
MomentKind = Literal["count", "sum", "square"]
CovariateKind = Literal["sum", "square", "cross"]
UserKind = Literal["count", "square", "cross", "sizes"]
JointKind = Literal["square", "cross", "counter", "sizes"]
WeighedKind = Literal[
    "square", "cross", "sizes", "base_square", "base_cross", "base_sizes",
    "joint_square", "joint_cross", "joint_counter", "joint_sizes",
]  # fmt: skip
Digits = Literal["whole", "rest"]
MOMENTS: tuple[MomentKind, ...] = get_args(MomentKind)


def _known(what: str, kind: str, kinds: Collection[str]) -> None:
    if kind not in kinds:
        close = difflib.get_close_matches(kind, kinds, 1)
        hint = f"did you mean {close[0]}?" if close else there_are(kinds)
        raise InputError([f"telemetry has no {what} {kind!r}; {hint}"])


@dataclass(frozen=True, repr=False)
class Column:
    """One integer that monitoring shows of every replication, arm and tick; of live calls, or of mirrored ones."""

    _: KW_ONLY
    mirrored: bool = False

    per_request: ClassVar[bool] = False
    """Whether it needs the outcome of each request. An engine that only draws counts per tick cannot fill such a column."""
    by_user: ClassVar[bool] = False
    """Whether it sums over users, which needs the totals of each user."""
    per_call: ClassVar[bool] = False
    """Whether it needs how long each call took. An engine that only draws counts per tick cannot fill such a column."""
    of_copies: ClassVar[bool] = False
    """Whether monitoring sees it only of mirrored calls."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The outcome metrics that this column sums; none where it counts calls."""
        return ()

    @property
    def name(self) -> str:
        """The name of this column in messages and tables."""
        return f"mirror.{self._label}" if self.mirrored else self._label

    @property
    def _label(self) -> str:
        raise NotImplementedError(f"{type(self).__name__} does not say what it is called")

    def as_mirrored(self) -> Self:
        """The same column of mirrored calls.

        >>> Count("errors").as_mirrored().name
        'mirror.errors'
        """
        return replace(self, mirrored=True)

    def as_live(self) -> Self:
        """The same column of live calls."""
        return replace(self, mirrored=False) if self.mirrored else self

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        own = [repr(getattr(self, field.name)) for field in fields(self) if field.name != "mirrored"]
        return f"{type(self).__name__}({', '.join([*own, 'mirrored=True'] if self.mirrored else own)})"


@dataclass(frozen=True, repr=False)
class Count(Column):
    """A number of calls. Raises `InputError` for a kind that there is not.

    kind: `requests`, attempts that arrive; `retries`, those of them that are not the first of their request; `responses`, ends
    of calls that clients see; `errors`, those of them that were no good answer; `timeouts` and `rejections`, errors by cause.

    >>> Count("errors"), Count("errors", mirrored=True).name
    (Count('errors'), 'mirror.errors')
    >>> Count("erors")
    Traceback (most recent call last):
    sim.errors.InputError: telemetry has no count 'erors'; did you mean errors?
    """

    kind: CountKind

    def __post_init__(self) -> None:
        _known("count", self.kind, get_args(CountKind))

    @property
    def _label(self) -> str:
        return self.kind


COUNTS: tuple[Count, ...] = tuple(Count(kind) for kind in get_args(CountKind))
"""Every count of calls. Engines that keep counts in an array do so in this order."""


@dataclass(frozen=True, repr=False)
class Above(Column):
    """Responses that took longer than a limit, in seconds.

    >>> Above(0.25).name
    'latency.above.250ms'
    """

    limit_s: float

    @property
    def _label(self) -> str:
        return f"latency.above.{format_duration(self.limit_s)}"


@dataclass(frozen=True, repr=False)
class LatencySum(Column):
    """The time that the responses took, summed, in nanoseconds.

    >>> LatencySum().name
    'latency.sum'
    """

    per_call: ClassVar[bool] = True

    @property
    def _label(self) -> str:
        return "latency.sum"


@dataclass(frozen=True, repr=False)
class Agreement(Column):
    """Good answers, and those of them that say what the champion says: `count`, and `sum` and `square`, which are the same."""

    of_copies: ClassVar[bool] = True

    moment: MomentKind

    def __post_init__(self) -> None:
        _known("moment of agreement", self.moment, MOMENTS)

    @property
    def _label(self) -> str:
        return f"agreement.{self.moment}"


@dataclass(frozen=True, repr=False)
class _OfMetric(Column):
    """A column of the known outcomes of a metric."""

    metric: str

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)


@dataclass(frozen=True, repr=False)
class Moment(_OfMetric):
    """How many outcomes of a metric are known, their sum, or their sum of squares.

    >>> Moment("conversion", "sum").name
    'conversion.sum'
    """

    moment: MomentKind

    def __post_init__(self) -> None:
        _known("moment", self.moment, MOMENTS)

    @property
    def _label(self) -> str:
        return f"{self.metric}.{self.moment}"


@dataclass(frozen=True, repr=False)
class CovariateMoment(_OfMetric):
    """Of requests whose outcome is known: the sum of the metric's covariate, of its square, or of its product with the outcome.

    >>> CovariateMoment("revenue", "cross").name
    'revenue.covariate.cross'
    """

    per_request: ClassVar[bool] = True

    moment: CovariateKind

    def __post_init__(self) -> None:
        _known("moment of a covariate", self.moment, get_args(CovariateKind))

    @property
    def _label(self) -> str:
        return f"{self.metric}.covariate.{self.moment}"


@dataclass(frozen=True, repr=False)
class UserMoment(_OfMetric):
    """Sums over users. Of a user, n outcomes are known in an arm, and they add up to s.

    moment: `count`, users with n > 0; `square`, the sum of s²; `cross`, of n s; `sizes`, of n².

    >>> UserMoment("revenue", "count").name
    'revenue.user.count'
    """

    per_request: ClassVar[bool] = True
    by_user: ClassVar[bool] = True

    moment: UserKind

    def __post_init__(self) -> None:
        _known("moment of users", self.moment, get_args(UserKind))

    @property
    def _label(self) -> str:
        return f"{self.metric}.user.{self.moment}"


@dataclass(frozen=True, repr=False)
class JointUserMoment(_OfMetric):
    """Sums over users of what they have in an arm (n, s as in `UserMoment`) and with the champion (n₀, s₀).

    moment: `square`, the sum of s₀ s; `cross`, of n₀ s; `counter`, of s₀ n; `sizes`, of n₀ n.

    >>> JointUserMoment("revenue", "sizes").name
    'revenue.user.joint.sizes'
    """

    per_request: ClassVar[bool] = True
    by_user: ClassVar[bool] = True

    moment: JointKind

    def __post_init__(self) -> None:
        _known("joint moment of users", self.moment, get_args(JointKind))

    @property
    def _label(self) -> str:
        return f"{self.metric}.user.joint.{self.moment}"


WEIGHT_BITS = 20
"""The weights behind a `WeighedUserMoment` are multiples of 2⁻²⁰, so that its sums are exact in any order."""


@dataclass(frozen=True, repr=False)
class WeighedUserMoment(_OfMetric):
    """Sums over users of what they have in a challenger's arm and with the champion, weighed as comparisons within ticks weigh.

    With w the challenger's share of the two arms' traffic in the tick in which a request was sent, rounded to 2⁻²⁰, its outcome
    weighs 1 - w in the challenger's arm and w in the champion's. A user's weights add up to n and n₀, weights times outcomes to
    s and s₀. The champion's own column is 0.

    moment: `square`, the sum of s²; `cross`, of n s; `sizes`, of n²; `base_…`, the same of n₀ and s₀; `joint_square`, of s₀ s;
    `joint_cross`, of n₀ s; `joint_counter`, of s₀ n; `joint_sizes`, of n₀ n. digits: the sum is `whole` + `rest` / 2⁴⁰, as one
    integer would not hold it.

    >>> WeighedUserMoment("revenue", "base_cross", "rest").name
    'revenue.user.weighed.base_cross.rest'
    """

    per_request: ClassVar[bool] = True
    by_user: ClassVar[bool] = True

    moment: WeighedKind
    digits: Digits

    def __post_init__(self) -> None:
        _known("weighed moment of users", self.moment, get_args(WeighedKind))
        _known("part of a sum", self.digits, get_args(Digits))

    @property
    def _label(self) -> str:
        return f"{self.metric}.user.weighed.{self.moment}.{self.digits}"


@dataclass(frozen=True, repr=False)
class AtVisit(Column):
    """The sums within ticks of another column, weighed by the shares of the tick in which each request was sent.

    Of a metric whose outcomes are known late, what becomes known in a tick was sent under the shares of many. An engine shows
    these sums in `Telemetry.weighed`, in the order of such columns; in the counts this column is 0. adaptive: whether the
    shares may follow the outcomes, so that every tick may have its own.

    >>> AtVisit(Moment("conversion", "sum")).name
    'conversion.sum.at_visit'
    """

    per_request: ClassVar[bool] = True

    of: Column
    adaptive: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.of.metrics

    @property
    def _label(self) -> str:
        return f"{self.of.name}.at_visit"


@dataclass(frozen=True, repr=False)
class SegmentMoment(_OfMetric):
    """A `Moment` of the requests of one segment.

    >>> SegmentMoment("revenue", "mobile", "sum").name
    'revenue.segment.mobile.sum'
    """

    per_request: ClassVar[bool] = True

    segment: str
    moment: MomentKind

    def __post_init__(self) -> None:
        _known("moment of a segment", self.moment, MOMENTS)

    @property
    def _label(self) -> str:
        return f"{self.metric}.segment.{self.segment}.{self.moment}"


@dataclass(frozen=True, repr=False)
class CappedMoment(_OfMetric):
    """The sum, or the sum of squares, of outcomes of which none counts for more than a cap, in the metric's own unit.

    >>> CappedMoment("revenue", 2.5, "sum").name
    'revenue.capped.2.5.sum'
    """

    per_request: ClassVar[bool] = True

    cap: float
    moment: Literal["sum", "square"]

    def __post_init__(self) -> None:
        _known("moment of capped outcomes", self.moment, ("sum", "square"))

    @property
    def _label(self) -> str:
        return f"{self.metric}.capped.{self.cap:.12g}.{self.moment}"


@dataclass(frozen=True, repr=False)
class Product(_OfMetric):
    """The sum of the products of two metrics' outcomes of the same request.

    >>> Product("revenue", "clicks").metrics
    ('revenue', 'clicks')
    """

    per_request: ClassVar[bool] = True

    other: str

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.metric, self.other

    @property
    def _label(self) -> str:
        return f"{self.metric}.with.{self.other}"


def mean_of(metric: str) -> tuple[Moment, Moment]:
    """The columns for the mean of a metric: the number and the sum of its known outcomes.

    >>> mean_of("conversion")
    (Moment('conversion', 'count'), Moment('conversion', 'sum'))
    """
    return Moment(metric, "count"), Moment(metric, "sum")


def moments_of(metric: Metric) -> tuple[Moment, ...]:
    """The columns for the mean and the variance of a metric. A binary outcome is its own square.

    >>> from sim.policy.setting import Metric
    >>> moments_of(Metric("conversion", 1, True, 1.0, 0.05, 0.2))
    (Moment('conversion', 'count'), Moment('conversion', 'sum'))
    """
    return mean_of(metric.name) if metric.binary else (*mean_of(metric.name), Moment(metric.name, "square"))


def covariate_moments(metric: str) -> tuple[CovariateMoment, ...]:
    """All columns of a metric's covariate: sum, sum of squares, and sum of products with the outcome."""
    kinds: tuple[CovariateKind, ...] = get_args(CovariateKind)
    return tuple(CovariateMoment(metric, kind) for kind in kinds)


def user_moments(metric: str) -> tuple[UserMoment, ...]:
    """All columns of an arm's users, in the order count, square, cross, sizes."""
    kinds: tuple[UserKind, ...] = get_args(UserKind)
    return tuple(UserMoment(metric, kind) for kind in kinds)


def joint_user_moments(metric: str) -> tuple[JointUserMoment, ...]:
    """All columns of users in an arm and with the champion, in the order square, cross, counter, sizes."""
    kinds: tuple[JointKind, ...] = get_args(JointKind)
    return tuple(JointUserMoment(metric, kind) for kind in kinds)


def weighed_user_moments(metric: str) -> tuple[WeighedUserMoment, ...]:
    """All columns of users weighed within ticks: of each moment, in the order of `WeighedKind`, whole and rest."""
    kinds: tuple[WeighedKind, ...] = get_args(WeighedKind)
    digits: tuple[Digits, ...] = get_args(Digits)
    return tuple(WeighedUserMoment(metric, kind, each) for kind in kinds for each in digits)
