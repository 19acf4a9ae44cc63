"""Argo's AnalysisTemplates as checks: what is measured, which results are good, when it looks, and how often it may fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.errors import Place
from sim.interop.accounting import Account
from sim.interop.bindings import Binding
from sim.interop.checks import check_of
from sim.interop.conditions import Condition, condition_of
from sim.interop.judging import by_conditions, empty_told, judge
from sim.interop.objects import Object
from sim.interop.policy import Analysis, Looks
from sim.interop.promql import Matcher
from sim.interop.queries import Measure, Whose, measure_of
from sim.interop.reading import Values
from sim.interop.tokens import Unread
from sim.units import format_duration

CANARY_HASH, STABLE_HASH = "canary-pod-template-hash", "stable-pod-template-hash"
"""What stands for the hashes of the pods, which only a cluster knows."""


@dataclass
class Templates:
    """The templates that are at hand, by whether they are of the cluster and by name, and what measures are bound to.

    `missing`: the measures that are not recognised, each with why.
    """

    accounts: Mapping[tuple[bool, str], Account]
    bindings: Mapping[str, Binding]
    missing: dict[str, str] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Names:
    """The services of a rollout by which a query may pick a version."""

    canary: str
    stable: str

    def sight(self, matcher: Matcher) -> Whose | None:
        """Which version a label picks: by a service, by the hash of the pods, or by the words canary and stable."""
        value = matcher.value.lower()
        sides = {
            **dict.fromkeys((CANARY_HASH, self.canary.lower(), "canary"), Whose.CANARY),
            **dict.fromkeys((STABLE_HASH, self.stable.lower(), "stable", "primary"), Whose.STABLE),
        }
        # Of two names of which one is in the other, the longer is meant.
        found = max((word for word in sides if word and word in value), key=len, default="")
        whose = sides.get(found)
        if whose is None or not matcher.sign.startswith("!"):
            return whose
        return Whose.STABLE if whose is Whose.CANARY else Whose.CANARY


def analysis_of(values: Values, place: Place, templates: Templates, names: Names, *, waited: bool) -> Analysis:
    """The analysis that a rollout describes at a place. What cannot be carried is refused in the accounts."""
    account = values.account
    given = _arguments(values, place)
    dry = [values.text((*each, "metricName")) for each in values.items((*place, "dryRun"))]
    looks: list[Looks] = []
    named = values.items((*place, "templates"))
    if not named:
        account.refuse((*place, "templates"), "an analysis needs the templates of its checks")
    for each in named:
        name = values.text((*each, "templateName"))
        of_cluster = values.flag((*each, "clusterScope"))
        template = templates.accounts.get((of_cluster, name))
        if template is None:
            kind = "ClusterAnalysisTemplate" if of_cluster else "AnalysisTemplate"
            account.refuse((*each, "templateName"), f"no {kind} {name!r} in the files given; give the file that has it too")
            continue
        looks += _Template(template, given, templates, names, dry, waited=waited).looks()
    return Analysis(tuple(looks), waited, place)


def _arguments(values: Values, place: Place) -> dict[str, str]:
    found = {}
    for each in values.items((*place, "args")):
        name = values.text((*each, "name"))
        hashed = values.get((*each, "valueFrom", "podTemplateHashValue"))
        if hashed is not None:
            if hashed not in ("Latest", "Stable"):
                values.account.refuse((*each, "valueFrom", "podTemplateHashValue"), f"must be Latest or Stable; got {hashed!r}")
            found[name] = CANARY_HASH if hashed == "Latest" else STABLE_HASH
        elif values.get((*each, "valueFrom")) is not None:
            found[name] = f"value-of-{name}"
        elif (value := values.get((*each, "value"))) is not None:
            found[name] = str(value)
        else:
            values.account.refuse((*each, "name"), f"the argument {name!r} has no value")
    return found


class _Template:
    """One template, as one analysis uses it."""

    def __init__(
        self, account: Account, given: Mapping[str, str], templates: Templates, names: Names, dry: list[str], *, waited: bool
    ) -> None:
        self.account, self.templates, self.names, self.waited = account, templates, names, waited
        plain = Values(account)
        arguments: dict[str, str] = {}
        for each in plain.items(("spec", "args")):
            name = plain.text((*each, "name"))
            own = plain.get((*each, "value"))
            if name in given:
                arguments[name] = given[name]
            elif own is not None:
                arguments[name] = str(own)
            elif plain.get((*each, "valueFrom")) is not None:
                arguments[name] = f"value-of-{name}"
            else:
                account.refuse((*each, "name"), f"the argument {name!r} has no value, in the rollout or here")
                arguments[name] = "?"
        self.values = Values(account, arguments)
        self.dry = [*dry, *(plain.text((*each, "metricName")) for each in plain.items(("spec", "dryRun")))]

    def looks(self) -> list[Looks]:
        """The checks of its metrics."""
        metrics = self.values.items(("spec", "metrics"))
        if not metrics:
            self.account.refuse(("spec", "metrics"), "a template needs metrics")
        return [looks for place in metrics if (looks := self._metric(place)) is not None]

    def _metric(self, place: Place) -> Looks | None:
        values, account = self.values, self.account
        name = values.text((*place, "name"), "metric")
        bound = f"{account.object.name}/{name}"
        self.templates.known.add(bound)
        count = values.whole((*place, "count"), least=0) or None
        every_s = values.seconds((*place, "interval"))
        delay_s = values.seconds((*place, "initialDelay")) or 0.0
        if every_s == 0:
            every_s = None
        if every_s is None and count is not None and count > 1:
            account.refuse((*place, "count"), f"{count} measurements need an interval")
        if every_s is None:
            count = 1
        pass_after = values.whole((*place, "consecutiveSuccessLimit"), least=0) or None
        if pass_after is not None and count is not None:
            account.refuse(
                (*place, "consecutiveSuccessLimit"),
                "with a count too, or without an interval, what follows where both run out is not carried; give it an "
                "interval and no count",
            )
        if self.waited and count is None and pass_after is None:
            account.refuse((*place, "interval"), "without a count it never ends, and the step waits for it; give it a count")
        limit = values.whole((*place, "failureLimit"), 0, least=-1)
        doubts = values.whole((*place, "inconclusiveLimit"), 0, least=-1)
        try:
            measure = self._measure(place, bound)
            if measure is None:
                return None
            keys = self._judged(place, measure)
        except Unread as error:
            account.refuse(place, f"the metric {name!r}: {error}")
            return None
        if keys is None or limit is None or doubts is None:
            return None
        self._limits(place, keys, limit, doubts, count)
        if any(_names(pattern, name) for pattern in self.dry):
            keys["report_only"] = True
        self._lint_window(place, measure, every_s)
        return Looks(keys, measure.window_s, delay_s, every_s, count, account, place, pass_after)

    def _measure(self, place: Place, bound: str) -> Measure | None:
        """What is measured; None where nothing that is simulated is."""
        account, binding = self.account, self.templates.bindings.get(bound)
        provider = account.object.get((*place, "provider"))
        which = sorted(provider) if isinstance(provider, dict) else []
        at: Place = (*place, "provider", *which[:1])
        if binding is not None:
            account.use(at, f"bound to {binding.measures} by the bindings file")
            return None if binding.measures == "nothing" else binding.measure()
        if which != ["prometheus"]:
            kind = which[0] if which else "no provider"
            self._unbound(at, bound, f"a measure of {kind} says nothing of traffic until it is bound")
            return None
        at = (*at, "query")
        text = self.values.text(at)
        try:
            measure = measure_of(text, self.names.sight)
        except Unread as error:
            self._unbound(at, bound, f"the query is not recognised: {error}")
            return None
        account.use(at, "; ".join((measure.told(), *measure.notes)))
        if measure.whose is Whose.BOTH:
            account.remark(
                at,
                "nothing in the query tells the canary from the stable version: it sees both, and a canary of a small weight "
                "hardly moves what it sees. It is played so",
                "ask for the canary by a label, such as its service or the hash of its pods (podTemplateHashValue: Latest)",
            )
        return measure

    def _unbound(self, place: Place, bound: str, why: str) -> None:
        self.templates.missing[bound] = why
        self.account.refuse(place, f"{why}; say what it means under {bound!r} in a bindings file (--bindings FILE)")

    def _judged(self, place: Place, measure: Measure) -> dict[str, Any] | None:
        """The keys of a check of a measure; None where it can never fail."""
        success = self._condition((*place, "successCondition"))
        failure = self._condition((*place, "failureCondition"))
        if success is None and failure is None:
            self.account.ignore(place, "it has no condition, and is always successful")
            self.account.remark(
                place, "without a condition every measurement is successful: it checks nothing", "give it a successCondition"
            )
            return None
        numbers = tuple(sorted({*(success.numbers if success else ()), *(failure.numbers if failure else ())}))
        find = by_conditions(success, failure)
        keys = check_of(measure, judge(measure, find, numbers))
        if told := empty_told(measure, find):
            self.account.remark(
                (*place, "provider", "prometheus", "query"),
                told,
                "handle it in the condition: isNaN(result[0]) or len(result) == 0",
            )
        if _perfect(keys):
            self.account.remark(
                (*place, "successCondition"),
                "one failed request in the window fails the measurement, however many there are",
                "allow the share of failures that the stable version has, and some more",
            )
        return keys

    def _condition(self, place: Place) -> Condition | None:
        text = self.values.text(place)
        if not text:
            return None
        try:
            return condition_of(text)
        except Unread as error:
            self.account.refuse(place, f"the condition is not read: {error}")
            raise

    def _limits(self, place: Place, keys: dict[str, Any], limit: int, doubts: int, count: int | None) -> None:
        in_doubt = "doubt" in keys.values() or any(key.startswith("doubt_") for key in keys)
        if limit < 0:
            keys["report_only"] = True
        elif limit > 0:
            keys["trip"] = limit + 1
        if in_doubt and doubts != 0:
            if doubts < 0:
                self.account.refuse((*place, "inconclusiveLimit"), "doubts without a limit are not carried; give a limit")
            keys["doubt_trip"] = doubts + 1
        if count is not None and limit >= count:
            self.account.remark(
                (*place, "failureLimit"),
                f"it aborts when more than {limit} of {count} measurements fail, which never happens: it stops nothing",
                f"a failureLimit of at most {count - 1}",
            )

    def _lint_window(self, place: Place, measure: Measure, every_s: float | None) -> None:
        if every_s is not None and measure.window_s > every_s:
            times = measure.window_s / every_s
            self.account.remark(
                (*place, "interval"),
                f"the query looks {format_duration(measure.window_s)} back, every {format_duration(every_s)}: one bad moment "
                f"stands in about {times:.3g} measurements, and is counted in each",
                f"an interval of {format_duration(measure.window_s)}, or a failureLimit that allows for it",
            )


def _perfect(keys: Mapping[str, Any]) -> bool:
    return keys.get("metric") == "error_rate" and keys.get("max") == "0%"


def _names(pattern: str, name: str) -> bool:
    """Whether a pattern of dryRun, a name or .* for all, is of a metric."""
    return pattern in (name, ".*", "*")


def accounts_of(objects: list[Object]) -> dict[tuple[bool, str], Account]:
    """The accounts of the templates among objects. Raises no error; of two of one name, the first is refused."""
    from sim.interop.argo.fields import TEMPLATE

    found: dict[tuple[bool, str], Account] = {}
    for each in objects:
        if each.kind in ("AnalysisTemplate", "ClusterAnalysisTemplate"):
            key = (each.kind == "ClusterAnalysisTemplate", each.name)
            account = Account(each, TEMPLATE)
            if key in found:
                account.refuse(
                    ("metadata", "name"), f"there is another {each.kind} {each.name!r}, at line {found[key].object.line(())}"
                )
                key = (key[0], f"{each.name}\0{len(found)}")
            found[key] = account
    return found
