"""A DeploymentConfig of SageMaker as a policy: parts of the traffic, each held under alarms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sim.errors import Place
from sim.interop.accounting import Account
from sim.interop.bindings import Binding
from sim.interop.checks import Judged, check_of
from sim.interop.conditions import Bounds
from sim.interop.objects import not_a
from sim.interop.queries import Measure, Whose
from sim.interop.read import Read
from sim.interop.reading import Values
from sim.interop.tokens import Unread
from sim.units import format_duration, format_share

_BLUE_GREEN: Place = ("BlueGreenUpdatePolicy",)
_ROUTING: Place = (*_BLUE_GREEN, "TrafficRoutingConfiguration")
_SIDES = {
    # A look fails on this side of the threshold; whether the threshold itself is good.
    "GreaterThanThreshold": ("above", True),
    "GreaterThanOrEqualToThreshold": ("above", False),
    "LessThanThreshold": ("below", True),
    "LessThanOrEqualToThreshold": ("below", False),
}
_MISSING = {"missing": "wait", "ignore": "wait", "notBreaching": "pass", "breaching": "fail"}


class Deployment:
    """One deployment, read. `times` are its durations in seconds; `form` makes the policy. What is not carried is refused."""

    def __init__(self, account: Account, alarms: Mapping[str, Account], bindings: Mapping[str, Binding], found: Read) -> None:
        self.account, self.alarms, self.bindings, self.found = account, alarms, bindings, found
        self.values = values = Values(account)
        self.wait_s = float(values.whole((*_ROUTING, "WaitIntervalInSeconds"), 0, most=3600) or 0)
        self.weights = self._weights()
        self.checks: list[dict[str, Any]] = []
        times = [self.wait_s]
        for place in values.items(("AutoRollbackConfiguration", "Alarms")):
            if (check := self._alarm(place)) is not None:
                if check[1] > (total_s := self.wait_s * len(self.weights)) > 0:
                    account.refuse(
                        (*place, "AlarmName"),
                        f"its period of {format_duration(check[1])} is longer than the whole deployment, "
                        f"{format_duration(total_s)}: it is never read",
                    )
                self.checks.append(check[0])
                times.append(check[1])
        self.times = tuple(times)
        self._remarks()

    def form(self, name: str) -> dict[str, Any]:
        """The policy."""
        if not self.wait_s:
            return {"name": name, "kind": "switch"}
        bake = format_duration(self.wait_s)
        steps = [{"weight": format_share(weight), "bake": bake} for weight in self.weights]
        if self.checks:
            return {"name": name, "kind": "canary", "steps": steps, "checks": self.checks}
        stage = {"name": name, "allocation": {"kind": "ramp", "steps": steps}, "evidence": {"kind": "survive"}}
        return {"name": name, "kind": "stages", "stages": [stage]}

    def _weights(self) -> list[float]:
        kind = self.values.text((*_ROUTING, "Type"))
        if kind == "ALL_AT_ONCE":
            return [1.0]
        if kind not in ("CANARY", "LINEAR"):
            if self.account.object.get(("RollingUpdatePolicy",)) is None:
                self.account.refuse((*_ROUTING, "Type"), not_a("ALL_AT_ONCE, CANARY or LINEAR", kind or None))
            return [1.0]
        key = "CanarySize" if kind == "CANARY" else "LinearStepSize"
        size_type = self.values.text((*_ROUTING, key, "Type"))
        if size_type != "CAPACITY_PERCENT":
            self.account.refuse(
                (*_ROUTING, key, "Type"),
                f"must be CAPACITY_PERCENT, as the number of instances is not known; got {size_type!r}",
            )
        most = 50
        size = self.values.whole((*_ROUTING, key, "Value"), least=1, most=most)
        if size is None:
            self.account.refuse((*_ROUTING, key, "Value"), f"must be a whole number from 1 to {most}; got nothing")
            return [1.0]
        if kind == "CANARY":
            return [size / 100, 1.0]
        return [min(size * step, 100) / 100 for step in range(1, math.ceil(100 / size) + 1)]

    def _alarm(self, place: Place) -> tuple[dict[str, Any], float] | None:
        """(keys of the check, seconds of its period) of an alarm."""
        name = self.values.text((*place, "AlarmName"))
        bound = f"alarm/{name}"
        self.found.known.add(bound)
        account = self.alarms.get(name)
        if account is None:
            self.account.refuse(
                (*place, "AlarmName"),
                f"no alarm {name!r} in the files given: give what `aws cloudwatch describe-alarms` prints",
            )
            return None
        values = Values(account)
        period_s = float(values.whole(("Period",), 60, least=1, most=86_400) or 60)
        looks = values.whole(("EvaluationPeriods",), 1, least=1, most=1000) or 1
        bad = values.whole(("DatapointsToAlarm",), looks, least=1, most=looks) or looks
        threshold = values.number(("Threshold",))
        side = values.text(("ComparisonOperator",))
        missing = values.text(("TreatMissingData",), "missing")
        if side not in _SIDES:
            account.refuse(("ComparisonOperator",), not_a(f"one of {', '.join(_SIDES)}", side or None))
        if missing not in _MISSING:
            account.refuse(("TreatMissingData",), not_a(f"one of {', '.join(_MISSING)}", missing))
        if side not in _SIDES or missing not in _MISSING or threshold is None:
            return None
        try:
            measure = self._measure(values, bound, period_s)
            if measure is None:
                return None
            word, included = _SIDES[side]
            good = (
                Bounds(high=threshold, high_open=not included)
                if word == "above"
                else Bounds(low=threshold, low_open=not included)
            )
            keys = check_of(measure, Judged(good, good, _MISSING[missing]))
        except Unread as error:
            account.refuse(("MetricName",), str(error))
            return None
        keys.pop("over")
        if bad > 1:
            keys["trip"] = bad
        if looks > 1:
            keys["of"] = looks
        return {**keys, "every": format_duration(period_s)}, period_s

    def _measure(self, values: Values, bound: str, period_s: float) -> Measure | None:
        if binding := self.bindings.get(bound):
            values.account.use(("MetricName",), f"bound to {binding.measures} by the bindings file")
            return None if binding.measures == "nothing" else binding.measure()
        metric, statistic = values.text(("MetricName",)), values.text(("Statistic",))
        quantile = values.text(("ExtendedStatistic",))
        if metric == "Invocation5XXErrors" and statistic == "Average":
            return Measure("error_rate", period_s, Whose.CANARY)
        if metric in ("ModelLatency", "OverheadLatency") and statistic == "Average":
            return Measure("mean_latency", period_s, Whose.CANARY, scale=1e6)
        if metric in ("ModelLatency", "OverheadLatency") and quantile.startswith("p"):
            try:
                level = float(quantile[1:]) / 100
            except ValueError:
                level = 0.0
            if 0 < level < 1:
                return Measure("latency", period_s, Whose.CANARY, scale=1e6, quantile=round(level, 9))
        if metric == "Invocations" and statistic in ("Sum", "SampleCount"):
            return Measure("requests", period_s, Whose.CANARY, scale=period_s, zero=0.0)
        why = f"{statistic or quantile or 'no statistic'} of {metric} is not recognised"
        self.found.missing[bound] = why
        values.account.refuse(("MetricName",), f"{why}; say what it means under {bound!r} in a bindings file (--bindings FILE)")
        return None

    def _remarks(self) -> None:
        account = self.account
        if account.object.get(_ROUTING) is not None and not self.wait_s:
            account.remark(
                (*_ROUTING, "WaitIntervalInSeconds"), "nothing is held: all traffic moves before an alarm can be read",
                "a WaitIntervalInSeconds of several periods of the alarms",
            )  # fmt: skip
        if not self.values.items(("AutoRollbackConfiguration", "Alarms")):
            account.remark(
                ("AutoRollbackConfiguration",), "there are no alarms: it never rolls back, however bad the new version is",
                "name alarms on its errors and its latency",
            )  # fmt: skip
        total_s = self.wait_s * len(self.weights)
        limit = self.values.whole((*_BLUE_GREEN, "MaximumExecutionTimeoutInSeconds"), least=1)
        if limit is not None and total_s > limit:
            account.refuse(
                (*_BLUE_GREEN, "MaximumExecutionTimeoutInSeconds"),
                f"the shares take {format_duration(total_s)}, longer than {limit}s: it always rolls back",
            )
