"""Whether a rehearsal supports that one of its versions is shipped, and if not, every reason why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.compare.result import Comparison, PointComparison
from sim.compare.trials import Trials
from sim.compare.wording import with_interval
from sim.run.record import Record
from sim.stats.intervals import Estimate, proportion_interval


@dataclass(frozen=True)
class Support:
    """What a rehearsal says of shipping an arm.

    `took` is the policy that it recommends (the first of those of several points), and `ships` the share of that policy's
    trials that ship the arm; None where it recommends none. `against` are the reasons why it does not support shipping it.
    """

    took: str | None
    ships: Estimate | None
    against: tuple[str, ...]


def support(
    run: Record, comparison: Comparison, trials: Sequence[Mapping[str, Trials]], arm: str, truth: Mapping[str, Any]
) -> Support:
    """Whether a finished rehearsal supports shipping `arm`; `truth` is what the scenario states to be true of challengers.

    It does where what the versions earn was measured, not stated: both are real versions, and the scenario gives the arm no
    other `truth`. And where, at every point, there is a policy fit to be taken, which is shown to ship the arm, and rightly, in
    most of its trials, is not shown to declare more in A/A tests than it promises, and breaches no threshold. "Shown" is by the
    95% interval over trials.
    """
    champion = run.arms[0]
    if arm == champion:
        return Support(None, None, ("the version was the champion in it, not a challenger",))
    against = []
    if run.status != "finished":
        against.append("it was interrupted, so that policies lack trials")
    kinds = {version.arm: version.kind for version in run.all_versions}
    stated = [each for each in (champion, arm) if kinds.get(each) != "replay"]
    if stated:
        who = " and ".join(map(repr, stated))
        against.append(
            f"what {who} earns was stated in a models file, not measured: it says how rollouts fare, not which is better"
        )
    if arm in truth:
        against.append(f"the scenario states what is true of {arm!r} (`truth.{arm}`), so that it was not measured")
    against += _against(comparison, trials, arm)
    point, own = comparison.points[0], trials[0]
    took = point.decision.chosen
    return Support(took, None if took is None or took not in own else shipped(own[took], arm), tuple(against))


def shipped(trials: Trials, arm: str) -> Estimate:
    """The share of a policy's trials that ship an arm, with Wilson's 95% interval."""
    return _share((trials["verdict"] == "ship") & (trials["shipped_arm"] == arm))


def kept(trials: Trials) -> Estimate:
    """The share of a policy's trials that keep the champion, with Wilson's 95% interval."""
    return _share(trials["verdict"] == "keep")


def _share(hits: Any) -> Estimate:
    return proportion_interval(float(hits.sum()), int(hits.size))


def _against(comparison: Comparison, trials: Sequence[Mapping[str, Trials]], arm: str) -> list[str]:
    """The reasons at each point, in order, each reason once."""
    found: list[str] = []
    for point, own in zip(comparison.points, trials, strict=True):
        where = f" at {point.label}" if point.label else ""
        found += [f"{reason}{where}" for reason in _at_point(comparison, point, own, arm)]
    return found


def _at_point(comparison: Comparison, point: PointComparison, trials: Mapping[str, Trials], arm: str) -> list[str]:
    took = point.decision.chosen
    if took is None or took not in trials:
        return ["it recommends no policy: none is fit to be taken"]
    own, reasons = trials[took], []
    ships, rightly = shipped(own, arm), _rightly(own, arm)
    if not _most(rightly):
        reasons.append(
            f"the policy that it takes, {took}, is not shown to ship the version, and rightly, in most trials: it ships it in "
            f"{_text(ships)}, rightly in {_text(rightly)}, and keeps the champion in {_text(kept(own))}"
        )
    summary = point.policy(took)
    if summary is not None and summary.breaks_promise:
        reasons.append(f"the policy that it takes, {took}, declares more in A/A tests than it promises")
    breached = [
        str(each) for each in comparison.thresholds if each.breached and (each.policy, each.point) == (took, point.label)
    ]
    return [*reasons, *(f"a threshold of it is breached: {each}" for each in breached)]


def _rightly(trials: Trials, arm: str) -> Estimate:
    return _share((trials["verdict"] == "ship") & (trials["shipped_arm"] == arm) & trials["shipped_better"])


def _most(estimate: Estimate) -> bool:
    return estimate.lower is not None and estimate.lower > 0.5


def _text(estimate: Estimate) -> str:
    return with_interval(estimate, "share")
