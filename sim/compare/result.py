"""What a comparison is: per policy every measure with its interval, and what follows from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.compare.measures import MEASURES
from sim.run.folder import write_text
from sim.run.record import Record
from sim.stats.intervals import Estimate
from sim.stats.survival import CumulativeIncidence

if TYPE_CHECKING:
    import pandas as pd

FILE = "summary.json"
# As many as a figure shows; a curve has at most a step a tick.
MOST_POINTS = 121


@dataclass(frozen=True)
class Judgement:
    """One threshold applied to one policy. `estimate` is what was compared with the rule; `point` is that of a sweep."""

    policy: str
    measure: str
    rule: str
    estimate: Estimate
    breached: bool
    point: str = ""

    @property
    def name(self) -> str:
        """What was judged, such as ab.wrong_ship."""
        return f"{self.policy}.{self.measure}{f' at {self.point}' if self.point else ''}"

    def to_dict(self) -> dict[str, Any]:
        """As in `summary.json`."""
        return {key: value for key, value in asdict(self).items() if key != "point" or value}

    def __str__(self) -> str:
        from sim.compare.wording import with_interval

        state = "breached" if self.breached else "met" if self.estimate.estimate is not None else "not judged"
        return f"{self.name} {self.rule}: {state}, {with_interval(self.estimate, MEASURES[self.measure].unit)}"


@dataclass(frozen=True)
class PolicySummary:
    """One policy: its measures, and their paired differences to the baseline (policy less baseline).

    A difference is None for a measure that cannot be paired (see `Measure`); the baseline has none at all.
    """

    policy: str
    kind: str
    measures: Mapping[str, Estimate]
    differences: Mapping[str, Estimate | None]
    incidence: CumulativeIncidence

    def to_dict(self) -> dict[str, Any]:
        """As in `summary.json`."""
        return {
            "policy": self.policy,
            "kind": self.kind,
            "measures": {name: asdict(estimate) for name, estimate in self.measures.items()},
            "differences": {name: estimate and asdict(estimate) for name, estimate in self.differences.items()},
            "incidence": _curves(self.incidence),
        }


@dataclass(frozen=True)
class Comparison:
    """The policies of one run, compared. Every interval is a 95% Monte-Carlo interval over replications.

    `run` is the run's `run.json`. `frontier` are the policies, baselines aside, that no other beats in both mean time to
    decision and mean regret. `best` names, by measure, the policy with the best estimate and those not shown to be
    worse, of the policies that decide half of their trials (baselines aside).
    """

    run: Record
    baseline: str | None
    policies: tuple[PolicySummary, ...]
    frontier: tuple[str, ...]
    best: Mapping[str, tuple[str, ...]]
    verdict: str
    thresholds: tuple[Judgement, ...] = ()

    @property
    def breached(self) -> bool:
        """Whether any threshold is."""
        return any(judgement.breached for judgement in self.thresholds)

    def to_dicts(self) -> list[dict[str, Any]]:
        """One row a policy and measure: policy, kind, measure, estimate, lower, upper, n, difference and its bounds."""
        rows = []
        for policy in self.policies:
            for name, estimate in policy.measures.items():
                difference = policy.differences.get(name) or Estimate(None, None, None, 0)
                rows.append(
                    {"policy": policy.policy, "kind": policy.kind, "measure": name, **asdict(estimate)}
                    | {"difference": difference.estimate}
                    | {"difference_lower": difference.lower, "difference_upper": difference.upper}
                )
        return rows

    def to_pandas(self) -> pd.DataFrame:
        """The rows of `to_dicts` as a frame, with NaN where there is no number."""
        import pandas as pd

        frame = pd.DataFrame(self.to_dicts())
        numbers = [name for name in frame.columns if name not in ("policy", "kind", "measure", "n")]
        return frame.astype(dict.fromkeys(numbers, "float64"))

    def to_json(self) -> str:
        """The text of `summary.json`: no NaN, no infinity."""
        return as_json(
            {
                "run": self.run.to_dict(),
                "baseline": self.baseline,
                "measures": {name: measure.to_dict() for name, measure in MEASURES.items()},
                **self.to_dict(),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """What `summary.json` says of the policies."""
        return {
            "policies": [policy.to_dict() for policy in self.policies],
            "frontier": self.frontier,
            "best": self.best,
            "verdict": self.verdict,
            "thresholds": [judgement.to_dict() for judgement in self.thresholds],
        }

    def write(self, folder: Path) -> Path:
        """Write `summary.json` into a run folder, whole or not at all. Returns its path."""
        return write_summary(folder, self.to_json())


def as_json(said: Mapping[str, Any]) -> str:
    """JSON as `summary.json` has it: no NaN, no infinity."""
    return json.dumps(said, allow_nan=False, ensure_ascii=False, indent=1)


def write_summary(folder: Path, text: str) -> Path:
    """Write `summary.json`, whole or not at all. Returns its path."""
    file = folder / FILE
    write_text(file, text + "\n")
    return file


def _curves(incidence: CumulativeIncidence) -> dict[str, Any]:
    time = incidence.overall.time
    if time.size > MOST_POINTS:
        time = time[np.unique(np.linspace(0, time.size - 1, MOST_POINTS).round().astype(np.int64))]
    named = {**incidence.curves, "decided": incidence.overall}
    found: dict[str, Any] = {"time_s": time.tolist()}
    for name, curve in named.items():
        at = curve.at(time)
        found[name] = {
            "estimate": at.incidence.tolist(), "lower": at.lower.tolist(), "upper": at.upper.tolist()
        }  # fmt: skip
    return found
