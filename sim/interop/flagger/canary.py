"""A Flagger Canary as a policy, by what its controller does at every tick of its interval.

A tick looks at all metrics. Where any fails, it adds one to the failed checks and leaves the weight as it is; else it goes to
the next weight, or promotes from the last. No data is a failed check. Source: pkg/controller/scheduler.go of flagger.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from sim.errors import Place
from sim.interop.accounting import Account
from sim.interop.bindings import Binding
from sim.interop.checks import Judged, check_of
from sim.interop.conditions import Bounds
from sim.interop.promql import Matcher
from sim.interop.queries import Measure, Whose, measure_of
from sim.interop.read import Read
from sim.interop.reading import Values, go_seconds
from sim.interop.tokens import Unread
from sim.units import format_duration, format_share

_GATES = ("confirm-traffic-increase",)
_WORKLOADS = ("workload", "deployment", "pod", "app", "container", "name")
_MINUTE_S = 60.0


class Canary:
    """One Canary, read. `times` are its durations in seconds; `form` makes the policy. What cannot be carried is refused."""

    def __init__(
        self, account: Account, templates: Mapping[str, Account], bindings: Mapping[str, Binding], found: Read
    ) -> None:
        self.account, self.templates, self.bindings, self.found = account, templates, bindings, found
        self.values = values = Values(account)
        key = "canaryAnalysis" if account.object.get(("spec", "canaryAnalysis")) is not None else "analysis"
        self.at: Place = ("spec", key)
        self.skipped = values.flag(("spec", "skipAnalysis"))
        if not values.mapping(self.at) and not self.skipped:
            account.refuse(self.at, "a Canary needs an analysis")
        self.target = values.text(("spec", "targetRef", "name"))
        self.every_s = values.seconds((*self.at, "interval"), _MINUTE_S) or _MINUTE_S
        threshold = values.whole((*self.at, "threshold"), 1) or 0
        self.trip = threshold if threshold > 0 else 1
        self.weights = self._weights()
        self.iterations = values.whole((*self.at, "iterations"), 0, most=10**5) or 0
        if values.text(("spec", "provider")) == "kubernetes" and not self.iterations:
            self.iterations = 10
        mirrored = values.flag((*self.at, "mirror"))
        share = values.whole((*self.at, "mirrorWeight"), 100, most=100)
        self.mirror = (share or 100) / 100 if mirrored else None
        self.load_tested = bool(self.iterations and not mirrored and found.load_test is not None)
        if self.load_tested:
            self.mirror = found.load_test
        self.approved = self._approved()
        self.checks = [] if self.skipped else self._checks()
        self.times = (self.every_s, *(each[1] for each in self.checks))
        self._remarks()

    def form(self, name: str, approval: Any) -> dict[str, Any]:
        """The policy."""
        if self.skipped:
            return {"name": name, "kind": "switch"}
        every = format_duration(self.every_s)
        checks = self._together(every)
        if self.iterations:
            stages = [
                self._mirrored(name, self.iterations, checks, every),
                self._ramp(f"{name}-all", [1.0], checks, every, approval),
            ]
            return {"name": name, "kind": "stages", "stages": stages}
        if self.mirror is not None:
            stages = [self._mirrored(name, 1, checks, every), self._ramp(f"{name}-live", self.weights, checks, every, approval)]
            return {"name": name, "kind": "stages", "stages": stages}
        if not checks:
            return {"name": name, "kind": "stages", "stages": [self._ramp(name, self.weights, checks, every, approval)]}
        steps = self._steps(self.weights, every, approval)
        return {"name": name, "kind": "canary", "advance": "on_good_look", "steps": steps, **self._guarded(checks)}

    def _weights(self) -> list[float]:
        values, place = self.values, self.at
        single = values.whole((*place, "stepWeight"), 0, most=100) or 0
        listed = [values.whole(each, 0, most=100) or 0 for each in values.items((*place, "stepWeights"))]
        if single:
            most = values.whole((*place, "maxWeight"), 100, most=100) or 100
            if listed:
                self.account.ignore((*place, "stepWeights"), "stepWeight is given, and wins")
            weights = [single]
            while weights[-1] < most:
                weights.append(min(weights[-1] + single, 100))
            if weights[-1] != most and values.get((*place, "maxWeight")) is not None:
                self.account.use((*place, "maxWeight"), f"the weights go {', '.join(map(str, weights))}")
                self.account.remark(
                    (*place, "maxWeight"), f"no multiple of stepWeight is {most}: the weight goes to {weights[-1]}",
                    f"a maxWeight that stepWeight {single} divides",
                )  # fmt: skip
            return [each / 100 for each in weights]
        for index, (one, other) in enumerate(pairwise(listed)):
            if other <= one:
                self.account.refuse((*place, "stepWeights", index + 1), f"must rise; got {other} after {one}")
        if listed and not all(listed):
            self.account.refuse((*place, "stepWeights"), "must be above 0")
        if listed and values.get((*place, "maxWeight")) is not None:
            self.account.ignore((*place, "maxWeight"), "with stepWeights, the last of them is the last weight")
        needed = not self.skipped and values.get((*place, "iterations")) is None
        if not listed and needed and values.text(("spec", "provider")) != "kubernetes":
            self.account.refuse((*place, "stepWeight"), "needs stepWeight, stepWeights or iterations: its weight never rises")
        return [each / 100 for each in listed] or [1.0]

    def _approved(self) -> bool:
        found = False
        for place in self.values.items((*self.at, "webhooks")):
            kind = self.values.text((*place, "type"), "rollout")
            if kind == "confirm-promotion":
                found = True
                self.account.use((*place, "type"), "a person approves before it is promoted")
                self.account.remark(
                    (*place, "type"), "the last weight is held until a person approves; how long that takes is an assumption",
                    "--approval with how long your people take",
                )  # fmt: skip
            elif kind in _GATES:
                self.account.refuse((*place, "type"), "a gate before every weight, which the webhook opens, is not carried")
            else:
                self.account.ignore((*place, "type"), "a webhook; one that fails, as pods that fail to start, is not simulated")
        return found

    def _checks(self) -> list[tuple[dict[str, Any], float]]:
        """(keys of a check, seconds of its window) of each metric."""
        found = []
        for place in self.values.items((*self.at, "metrics")):
            try:
                if (check := self._check(place)) is not None:
                    found.append(check)
            except Unread as error:
                self.account.refuse(place, f"the metric {self.values.text((*place, 'name'))!r}: {error}")
        return found

    def _check(self, place: Place) -> tuple[dict[str, Any], float] | None:
        values = self.values
        name = values.text((*place, "name"))
        window_s = values.seconds((*place, "interval"), _MINUTE_S) or _MINUTE_S
        low, high = (values.number((*place, "thresholdRange", key)) for key in ("min", "max"))
        old = values.number((*place, "threshold"))
        measure = self._measure(place, name, window_s)
        if measure is None:
            return None
        if low is None and high is None:
            if old is None:
                raise Unread("it has no thresholdRange, and can never fail")
            low, high = (old, None) if name == "request-success-rate" else (None, old)
        bounds = Bounds(low if low is not None else Bounds().low, high if high is not None else Bounds().high)
        # No result, or 0/0, is a failed check, whatever the bounds.
        keys = check_of(measure, Judged(bounds, bounds, "fail"))
        if keys.get("max") == "0%":
            at = (*place, "thresholdRange", "min") if low is not None else (*place, "thresholdRange", "max")
            self.account.remark(
                at, "one failed request in the window fails the look, however many there are",
                "allow the share of failures that the primary has, and some more",
            )  # fmt: skip
        return keys, measure.window_s

    def _measure(self, place: Place, name: str, window_s: float) -> Measure | None:
        template = self.values.text((*place, "templateRef", "name"))
        inline = self.values.get((*place, "query"))
        if not template and inline is None:
            if name == "request-success-rate":
                return Measure("error_rate", window_s, Whose.CANARY, scale=-100.0, offset=100.0)
            if name == "request-duration":
                return Measure("latency", window_s, Whose.CANARY, scale=1000.0, quantile=0.99)
            self.account.refuse(
                (*place, "name"), f"{name!r} is none of request-success-rate and request-duration, and has no templateRef: "
                "its look fails whatever is seen",
            )  # fmt: skip
            return None
        account, at = self.account, (*place, "query")
        if template:
            other = self.templates.get(template)
            if other is None:
                account.refuse((*place, "templateRef", "name"), f"no MetricTemplate {template!r} in the files given")
                return None
            account, at = other, ("spec", "query")
        bound = f"{template or self.account.object.name}/{name}"
        self.found.known.add(bound)
        if binding := self.bindings.get(bound):
            account.use(at, f"bound to {binding.measures} by the bindings file")
            return None if binding.measures == "nothing" else binding.measure()
        kind = account.object.get(("spec", "provider", "type")) if template else "prometheus"
        if kind != "prometheus":
            self._unbound(account, at, bound, f"a query of {kind} is not read")
            return None
        text = Values(account, self._variables(place, window_s)).text(at)
        try:
            measure = measure_of(text, self.sight)
        except Unread as error:
            self._unbound(account, at, bound, f"the query is not recognised: {error}")
            return None
        account.use(at, "; ".join((measure.told(), *measure.notes)))
        if measure.whose is Whose.BOTH:
            account.remark(
                at, "nothing in the query tells the canary from the primary: it sees both. It is played so",
                "ask for the canary by a label, such as its workload {{ target }}",
            )  # fmt: skip
        return measure

    def _unbound(self, account: Account, place: Place, bound: str, why: str) -> None:
        self.found.missing[bound] = why
        account.refuse(place, f"{why}; say what it means under {bound!r} in a bindings file (--bindings FILE)")

    def _variables(self, place: Place, window_s: float) -> dict[str, str]:
        own = self.account.object.get((*place, "templateVariables"))
        seconds = f"{window_s:g}"
        return {
            "name": self.account.object.name,
            "namespace": "namespace",
            "target": self.target,
            "service": str(self.account.object.get(("spec", "service", "name")) or self.target),
            "ingress": "ingress",
            "interval": f"{seconds}s" if seconds.isdecimal() else f"{round(1000 * window_s)}ms",
            **{f"variables.{key}": str(value) for key, value in (own if isinstance(own, dict) else {}).items()},
        }

    def sight(self, matcher: Matcher) -> Whose | None:
        """Which version a label picks: the canary runs in the target, the stable version in TARGET-primary."""
        value, label = matcher.value, matcher.label.lower()
        whose = None
        if f"{self.target}-primary" in value or value == "primary":
            whose = Whose.STABLE
        elif f"{self.target}-canary" in value or "canary" in value:
            whose = Whose.CANARY
        elif self.target and any(word in label for word in _WORKLOADS) and value.startswith(self.target):
            # TARGET.* is of the primary too; TARGET itself, and its pods, are not.
            whose = None if value[len(self.target) :].startswith((".*", "-.*", ".+", "-.+")) else Whose.CANARY
        if whose is None or not matcher.sign.startswith("!"):
            return whose
        return Whose.STABLE if whose is Whose.CANARY else Whose.CANARY

    def _remarks(self) -> None:
        values, account, place = self.values, self.account, self.at
        if self.skipped:
            return
        if self.iterations and self.mirror is None:
            account.refuse(
                (*place, "iterations"), "without mirror no user's request reaches the canary before all do; say with "
                "--load-test what a load test sends it, as a share of the traffic",
            )  # fmt: skip
        if self.load_tested:
            account.use(
                (*place, "iterations"), f"so many looks at what a load test sends: as if {format_share(self.mirror or 0.0)} of "
                "the requests were copied, and one at all traffic",
            )  # fmt: skip
        if not values.items((*place, "metrics")):
            account.remark(place, "there are no metrics: nothing but a webhook ever rolls it back", "give it metrics")
        elif values.get((*place, "threshold")) is not None:
            stays = format_duration((self.trip + 1) * self.every_s)
            account.use(
                (*place, "threshold"),
                f"{self.trip} failed looks of all metrics together roll back, at the tick after, "
                f"{format_duration(self.every_s)} later",
            )
            if self.trip > max(len(self.weights), self.iterations):
                account.remark(
                    (*place, "threshold"),
                    f"a canary that fails every look holds its weight for {stays}, longer than a good one takes in all",
                    "a threshold below the number of weights",
                )
        for each in values.items((*place, "metrics")):
            window = values.get((*each, "interval"))
            try:
                window_s = go_seconds(window) if isinstance(window, str) else _MINUTE_S
            except Unread:
                continue
            if window_s > self.every_s:
                account.remark(
                    (*each, "interval") if window is not None else each,
                    f"a look sees {format_duration(window_s)}, every {format_duration(self.every_s)}: the first at a weight "
                    "see those before, and one bad moment is counted several times",
                    f"an analysis interval of at least {format_duration(window_s)}",
                )
        if self.mirror is not None and not self.load_tested:
            account.use((*place, "mirror"), "a stage of its own, in which failed looks are counted anew and hold nothing back")

    def _together(self, every: str) -> list[dict[str, Any]]:
        """The checks as one count."""
        written = []
        for keys, window_s in self.checks:
            own = {key: value for key, value in keys.items() if key != "over" or window_s != self.every_s}
            written.append({**own, "every": every})
        if len(written) == 1:
            return [{**written[0], **({"trip": self.trip} if self.trip > 1 else {})}]
        return [{"kind": "together", "trip": self.trip, "checks": written}] if written else []

    def _mirrored(self, name: str, intervals: int, checks: list[dict[str, Any]], every: str) -> dict[str, Any]:
        return {
            "name": f"{name}-mirror",
            "allocation": {"kind": "mirror", "fraction": format_share(self.mirror or 1.0)},
            "evidence": {"kind": "survive", "duration": format_duration(intervals * self.every_s)},
            **self._guarded(checks),
        }

    def _guarded(self, checks: list[dict[str, Any]]) -> dict[str, Any]:
        """The checks, and that the rollback comes at the tick after they have failed too often."""
        later = {"delay": {"constant": format_duration(self.every_s)}}
        return {"checks": checks, "reaction": {"fail": later}} if checks else {}

    def _ramp(self, name: str, weights: list[float], checks: list[dict[str, Any]], every: str, approval: Any) -> dict[str, Any]:
        route: dict[str, Any] = {"kind": "ramp", "steps": self._steps(weights, every, approval)}
        if checks:
            route["advance"] = "on_good_look"
        return {"name": name, "allocation": route, "evidence": {"kind": "survive"}, **self._guarded(checks)}

    def _steps(self, weights: list[float], every: str, approval: Any) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = [{"weight": format_share(weight), "bake": every} for weight in weights]
        if self.approved:
            steps[-1]["approval"] = approval
        return steps
