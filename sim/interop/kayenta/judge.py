"""A canary analysis of Kayenta as a policy: a canary beside a baseline, and the judge that looks at both.

It fails at the first look whose score is not above the marginal one, and at the last unless its score passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.interop.accounting import Account
from sim.interop.bindings import Binding
from sim.interop.kayenta.metrics import Metrics
from sim.interop.kayenta.times import ALONE, Keys, thresholds_of, times_of
from sim.interop.objects import not_a
from sim.interop.read import Read
from sim.interop.reading import Values
from sim.units import format_duration, format_share

_JUDGES = ("NetflixACAJudge-v1.0", "dredd-v1.0")


class Analysis:
    """One analysis, read. `times` say when it looks; `form` makes the policy. What cannot be carried is refused.

    `account` is of the stage or the request, or of the config itself where there is neither (`keys` None).
    """

    def __init__(
        self, account: Account, keys: Keys | None, config: Account, bindings: Mapping[str, Binding], found: Read
    ) -> None:
        self.account, self.config, self.weight = account, config, found.weight
        self.times = ALONE if keys is None else times_of(account, keys)
        self._check_stage()
        values = Values(config)
        name = values.get(("judge", "name"))
        if name is not None and name not in _JUDGES:
            config.refuse(("judge", "name"), f"{not_a(_JUDGES[0], name)}: other judges are not carried")
        self.metrics = Metrics(config, bindings, found, self.times.step_s)
        self.groups = self._groups()
        own = None if keys is None else thresholds_of(account, (*keys.base, keys.thresholds), keys.default)
        of_config = ("classifier", "scoreThresholds")
        if own is not None and config.object.get(of_config) is not None:
            config.ignore(of_config, "what judges by it has thresholds of its own, and those hold")
        self.thresholds = own or thresholds_of(config, of_config, None)
        if self.thresholds is None and not any(each.problems() for each in (account, config)):
            config.refuse(of_config, "pass and marginal are needed, here or where it is judged")
        if found.weight * (2 if self.times.baseline else 1) > 1:
            account.refuse(
                (), f"the baseline is served as much as the canary, and {format_share(found.weight)} twice are too much"
            )

    def form(self, name: str, tick_s: float) -> dict[str, Any]:
        """The policy."""
        times, (passing, marginal) = self.times, self.thresholds or (0.75, 0.5)
        if tick_s != times.step_s:
            self.account.refuse(
                (), f"its values are of {format_duration(times.step_s)}, and its durations, or those of rollouts beside it, "
                "are no whole numbers of it: import it alone, with durations of whole steps",
            )  # fmt: skip
        every, length_s = format_duration(times.every_s), times.looks * times.every_s
        back = format_duration(min(times.back_s or length_s, length_s))
        judge: dict[str, Any] = {"kind": "kayenta", "every": every}
        if back != every:
            judge["window"] = back
        if times.baseline:
            judge["against"] = "baseline"
        judge |= {"pass": format_share(passing), "marginal": format_share(marginal)}
        if len(self.groups) > 1:
            judge["groups"] = self.groups
        if self.metrics.always:
            judge["always_pass"] = self.metrics.always
        judge["metrics"] = self.metrics.compared
        schedule: dict[str, Any] = {"baseline": True} if times.baseline else {}
        weight = format_share(self.weight)
        schedule["steps"] = [{"weight": weight, "bake": format_duration(length_s)}]
        # A last score between the two fails as well.
        on = {"inconclusive": "keep"}
        if not times.begin_s:
            return {"name": name, "kind": "canary", **schedule, "checks": [judge], "on": on}
        before = {**schedule, "steps": [{"weight": weight, "bake": format_duration(times.begin_s)}]}
        stages = [
            {"name": f"{name}-before", "allocation": {"kind": "ramp", **before}, "evidence": {"kind": "survive"}},
            {
                "name": f"{name}-judged", "allocation": {"kind": "ramp", **schedule}, "evidence": {"kind": "survive"},
                "checks": [judge], "on": on,
            },
        ]  # fmt: skip
        return {"name": name, "kind": "stages", "stages": stages}

    def _check_stage(self) -> None:
        if self.account is self.config:
            return
        values = Values(self.account)
        for key, fine in (("failPipeline", True), ("continuePipeline", False)):
            if self.account.object.get((key,)) is not None and values.flag((key,), fine) != fine:
                self.account.refuse((key,), "a failure that does not end the pipeline rolls nothing back by itself")

    def _groups(self) -> dict[str, float]:
        """The weights of the groups, by name: those that have none share what is left of 100."""
        place, values = ("classifier", "groupWeights"), Values(self.config)
        written = self.config.object.get(place) if values.mapping(place) else {}
        given = {str(name): values.number((*place, name)) for name in written}
        names = self.metrics.groups
        sum_of = sum(weight or 0.0 for weight in given.values())
        rest = [name for name in names if name not in given]
        weights = {name: given[name] if name in given else (100 - sum_of) / len(rest) for name in names}
        wrong = [name for name, weight in weights.items() if weight is None or weight <= 0]
        if wrong:
            self.config.refuse(place, f"every group of a metric must have a weight above 0; {wrong[0]!r} has not")
        elif names and abs(sum(weight or 0.0 for weight in weights.values()) - 100) > 1e-6:
            total = sum(weight or 0.0 for weight in weights.values())
            self.config.refuse(
                place, f"the groups of metrics that count must weigh 100 together, the highest score; they weigh {total:g}"
            )  # fmt: skip
        return {name: float(f"{weight or 1.0:.12g}") for name, weight in weights.items()}
