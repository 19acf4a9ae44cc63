"""What a comparison is: at each point of a run, per policy every measure with its interval, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sim.compare.decision import Decision
from sim.compare.elsewhere import Elsewhere
from sim.compare.measure import Better, Unit
from sim.compare.measures import MEASURES
from sim.compare.sensitivity import Sensitivity
from sim.run.record import Record
from sim.scenario.labels import JOINT
from sim.stats.intervals import Estimate

if TYPE_CHECKING:
    import pandas as pd

NOTHING = Estimate(None, None, None, 0)
"""The estimate without data."""


@dataclass(frozen=True)
class Judgement:
    """One threshold applied to one policy. `estimate` was compared with the rule; `point` is the label of the point."""

    policy: str
    measure: str
    rule: str
    estimate: Estimate
    breached: bool
    point: str = ""

    @property
    def about(self) -> str:
        """The policy, and the point if there are several."""
        return f"{self.policy} at {self.point}" if self.point else self.policy

    @property
    def name(self) -> str:
        """Policy and measure, such as ab.wrong_ship."""
        return f"{self.policy}.{self.measure}{f' at {self.point}' if self.point else ''}"

    def __str__(self) -> str:
        from sim.compare.wording import with_interval

        state = "breached" if self.breached else "met" if self.estimate.estimate is not None else "not judged"
        return f"{self.name} {self.rule}: {state}, {with_interval(self.estimate, MEASURES[self.measure].unit)}"


@dataclass(frozen=True)
class Curve:
    """A share of trials at each of T times, with its 95% band: (T,) each; None where a bound is not known."""

    estimate: tuple[float, ...]
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]


@dataclass(frozen=True)
class Incidence:
    """The share of trials that ended in each verdict by each of T times, in seconds: as many as a figure shows."""

    time_s: tuple[float, ...]
    ship: Curve
    keep: Curve
    inconclusive: Curve
    decided: Curve


@dataclass(frozen=True)
class PolicySummary:
    """One policy at one point: its measures, and their paired differences to the baseline (policy less baseline).

    A difference is None for a measure that cannot be paired (see `Measure`); the baseline has none at all. `promised` is how
    often, at most, the policy says that it declares a difference where all arms are alike; None if it does not say.
    """

    policy: str
    kind: str
    measures: Mapping[str, Estimate] = field(repr=False)
    differences: Mapping[str, Estimate | None] = field(repr=False)
    incidence: Incidence = field(repr=False)
    promised: float | None = None

    @property
    def breaks_promise(self) -> bool:
        """Whether it declares more in A/A tests than it promises, beyond chance: the interval excludes the promise."""
        lower = self.measures.get("aa_declared", NOTHING).lower
        return self.promised is not None and lower is not None and lower > self.promised


@dataclass(frozen=True)
class PointComparison:
    """The policies of a run at one point, compared. `values` are those of the swept keys; none where nothing is swept.

    `baseline` is what differences are taken to; None where that has no trials here. `frontier` are the policies, baselines
    aside, that no other beats in both mean time to decision and mean regret. `best` names, by measure, the policy with the best
    estimate and those not shown to be worse, of the policies that are fit to be taken. `decision` is which one to take, `memo`
    says so in sentences, the answer first. `sensitivity` is what of the stated value would change it, and `elsewhere` what
    becomes of it in other worlds, in which the policies were played again.
    """

    values: tuple[str, ...]
    numbers: tuple[float | None, ...]
    baseline: str | None
    policies: tuple[PolicySummary, ...]
    frontier: tuple[str, ...] = field(repr=False)
    best: Mapping[str, tuple[str, ...]] = field(repr=False)
    decision: Decision = field(repr=False)
    memo: tuple[str, ...] = field(repr=False)
    sensitivity: tuple[Sensitivity, ...] = field(default=(), repr=False)
    elsewhere: tuple[Elsewhere, ...] = field(default=(), repr=False)

    @property
    def label(self) -> str:
        """The values in one text."""
        return JOINT.join(self.values)

    def policy(self, name: str) -> PolicySummary | None:
        """The summary of a policy; None where it has no trials here."""
        return next((summary for summary in self.policies if summary.policy == name), None)

    def estimate(self, policy: str, measure: str) -> Estimate:
        """The estimate of a policy's measure; `NOTHING` if the policy has no trials."""
        summary = self.policy(policy)
        return summary.measures.get(measure, NOTHING) if summary else NOTHING


@dataclass(frozen=True)
class MeasureLabel:
    """The texts about a measure in a report."""

    label: str
    unit: Unit
    better: Better
    about: str


@dataclass(frozen=True, repr=False)
class Comparison:
    """The policies of one run, compared at each of its points. Every interval is a 95% Monte-Carlo interval over replications.

    `run` is the run's `run.json`. A run without a sweep has one point; with one, a point for every value or pair of values.
    `baseline` is the policy that others are paired with; `measures` say what was measured; `thresholds` are those of all
    points, each naming its point; `memo` says in sentences what follows, the answer first. `sim_version` is the program that
    compared them; empty of an early one.
    """

    run: Record
    baseline: str
    measures: Mapping[str, MeasureLabel]
    points: tuple[PointComparison, ...]
    memo: tuple[str, ...]
    thresholds: tuple[Judgement, ...] = ()
    sim_version: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        """The keys that were swept; none in a run of one point without a sweep."""
        return self.run.paths

    @property
    def verdict(self) -> str:
        """The memo in one text."""
        return " ".join(self.memo)

    @property
    def breached(self) -> bool:
        """Whether any threshold is breached at any point."""
        return any(judgement.breached for judgement in self.thresholds)

    def __repr__(self) -> str:
        policies = ", ".join(policy.name for policy in self.run.policies)
        where = f" at {len(self.points)} points of {JOINT.join(self.paths)}" if self.paths else ""
        return f"<{type(self).__name__} of {self.run.name}: {policies}{where}>"

    def to_dicts(self) -> list[dict[str, Any]]:
        """One row a point, policy and measure: policy, kind, measure, estimate, lower, upper, n, difference and its bounds.

        Where keys are swept, the point's number and values stand in front.
        """
        rows = []
        for at, point in enumerate(self.points):
            swept = {f"sweep.{path}": value for path, value in zip(self.paths, point.values, strict=True)}
            labels = {"point": at, **swept} if swept else {}
            for policy in point.policies:
                for name, estimate in policy.measures.items():
                    difference = policy.differences.get(name) or NOTHING
                    rows.append(
                        {**labels, "policy": policy.policy, "kind": policy.kind, "measure": name, **asdict(estimate)}
                        | {"difference": difference.estimate}
                        | {"difference_lower": difference.lower, "difference_upper": difference.upper}
                    )
        return rows

    def to_pandas(self) -> pd.DataFrame:
        """The rows of `to_dicts` as a frame, with NaN where there is no number."""
        return self.framed(self.to_dicts())

    def framed(self, rows: list[dict[str, Any]]) -> pd.DataFrame:
        """Rows of `to_dicts`, or with units beside, as a frame."""
        import pandas as pd

        frame = pd.DataFrame(rows)
        others = ("policy", "kind", "measure", "unit", "n", "point", *(f"sweep.{path}" for path in self.paths))
        return frame.astype({name: "float64" for name in frame.columns if name not in others})
