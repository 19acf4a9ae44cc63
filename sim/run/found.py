"""What a run found out of itself: the numbers that it was calibrated to, and how many replications were enough."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, FiniteFloat

from sim.run.stored import Stored
from sim.scenario.enough import BEST, rounds
from sim.units import format_share


class CalibrationRecord(Stored):
    """A number of a policy that was found before the run, so that the share of trials with an error is what is asked for.

    `value` stands in the scenario that was run, `key` is its key and `path` its place in the file; chance leaves open the
    numbers from `lower` to `upper`. `measured` is the error in `fresh` trials that the number was not found by, with its 95%
    interval. `replications` were played in all.
    """

    policy: str
    path: str
    key: str
    value: str
    lower: str | None = None
    upper: str | None = None
    measure: str
    asked: FiniteFloat
    measured: FiniteFloat
    measured_lower: FiniteFloat | None = None
    measured_upper: FiniteFloat | None = None
    fresh: int
    replications: int
    alike: bool
    """Whether it was measured where all arms are alike; if not, in the worlds of the scenario."""

    def told(self) -> str:
        """How it was found, in words."""
        between = f" ({self.lower} to {self.upper})" if self.lower and self.upper else ""
        where = "A/A tests" if self.alike else "trials that are a case of it"
        interval = ""
        if self.measured_lower is not None and self.measured_upper is not None:
            interval = f" ({100 * self.measured_lower:.3g} to {100 * self.measured_upper:.3g}%)"
        return (
            f"{self.key} of {self.policy} {self.value}{between}, at which {self.measure} is {format_share(self.asked)}; in "
            f"{self.fresh:,} fresh {where} it was {100 * self.measured:.3g}%{interval}"
        )


class TargetRecord(Stored):
    """A target of the replications, and how near it is for the policy and the point that is farthest from it.

    `looks` of `best` is how often it may be asked in all, so that its confidence holds however often it is.
    `asked` and `reached` are half of a 95% interval: a share of 1 for a share, and a part of the estimate for a time or an
    amount. `reached` is None where there is no interval, and for `best`, of which `asked` is a confidence and `policy` names
    those that are tied. Without `policy` no trial is a case of the measure, or the target is met.
    """

    target: str
    asked: FiniteFloat
    reached: FiniteFloat | None = None
    points: bool = False
    """Whether `asked` and `reached` are percentage points, of a share."""
    policy: str = ""
    point: str = ""
    met: bool
    looks: Annotated[int, Field(ge=1)] = 1

    def told(self) -> str:
        """The target, and what of it was reached, in words."""
        where = f"{self.policy} at {self.point}" if self.point else self.policy
        if self.target == BEST:
            how = "is told from the others" if self.met else f"is not told: {where} are tied"
            over = f" over as many as {self.looks} looks" if self.looks > 1 else ""
            return f"the best {how}, at {format_share(self.asked)}{over}"
        if not self.policy:
            return f"no trial is a case of {self.target}"
        unit = " pp" if self.points else "%"
        reached = "no interval" if self.reached is None else f"±{100 * self.reached:.2g}{unit}"
        return f"{self.target} {reached} of {where}, {100 * self.asked:.4g}{unit} asked"


class EnoughRecord(Stored):
    """As many replications as were needed: `replications`, of at most `most`, in rounds of which the first had `least`.

    `targets` are those that were asked for, as they stand after the last round.
    """

    replications: Annotated[int, Field(ge=1)]
    least: int
    most: int
    targets: tuple[TargetRecord, ...] = ()

    @property
    def looks(self) -> int:
        """How many rounds there may be. Each of them is looked at."""
        return sum(1 for _ in rounds(self.least, self.most))

    def each_look(self, confidence: float) -> float:
        """The confidence of each look with which that of all of them together is as asked (Bonferroni).

        >>> EnoughRecord(replications=200, least=200, most=450).each_look(0.94)
        0.98
        """
        return 1 - (1 - confidence) / self.looks

    @property
    def met(self) -> bool:
        """Whether every target is met."""
        return bool(self.targets) and all(target.met for target in self.targets)

    def told(self) -> str:
        """What was reached, in a sentence."""
        facts = "; ".join(target.told() for target in self.targets)
        how = "were enough" if self.met else "were not enough"
        return f"{self.replications:,} replications, of at most {self.most:,}, {how}: {facts}."
