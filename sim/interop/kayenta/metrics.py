"""The metrics of a canary config as those of the judge `kayenta`: what each compares, and when it fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.errors import Place
from sim.interop.accounting import Account
from sim.interop.bindings import Binding
from sim.interop.objects import not_a
from sim.interop.promql import Matcher
from sim.interop.queries import Measure, Whose, measure_of
from sim.interop.read import Read
from sim.interop.reading import Values
from sim.interop.tokens import Unread
from sim.units import format_duration

_FULL_QUERY = "PromQL:"


class Metrics:
    """The metrics of a config, read. `compared` are those of the judge, `always` the number that always pass, by group.

    `groups` are all groups, in order, of metrics that count. What cannot be carried is refused.
    """

    def __init__(self, account: Account, bindings: Mapping[str, Binding], found: Read, step_s: float) -> None:
        self.account, self.bindings, self.found, self.step_s = account, bindings, found, step_s
        self.values = Values(account)
        self.compared: list[dict[str, Any]] = []
        self.always: dict[str, int] = {}
        self.groups: dict[str, None] = {}
        self._names: set[str] = set()
        for place in self.values.items(("metrics",)):
            self._read(place)
        if not self.compared and not account.problems():
            account.refuse(("metrics",), "there is none that could fail: no metric of something that is simulated")

    def _read(self, place: Place) -> None:
        values, account = self.values, self.account
        canary = (*place, "analysisConfigurations", "canary")
        name = values.text((*place, "name"))
        if not name or name in self._names:
            account.refuse((*place, "name"), "must be a name of its own" if name else "is required")
        self._names.add(name)
        if values.flag((*canary, "muted")):
            account.ignore(place, "it is muted, and does not count")
            return
        groups = values.items((*place, "groups"))
        if len(groups) != 1:
            account.refuse((*place, "groups"), f"a metric of exactly one group is carried; got {len(groups)}")
            return
        group = values.text(groups[0])
        self.groups[group] = None
        bound = f"{self.account.object.get(('name',)) or 'canary'}/{name}"
        self.found.known.add(bound)
        if (binding := self.bindings.get(bound)) and binding.measures == "nothing":
            account.use((*place, "query"), "bound to nothing by the bindings file: it always passes")
            self.always[group] = self.always.get(group, 0) + 1
            return
        judged = self._judged(canary)
        measure = self._measure(place, bound, binding)
        if measure is not None:
            try:
                self.compared.append(compared(measure, self.step_s, judged) | {"group": group})
            except Unread as error:
                account.refuse(place, f"the metric {name!r}: {error}")

    def _judged(self, canary: Place) -> dict[str, Any]:
        """How a metric is judged, in Kayenta's words, with defaults."""
        values, account = self.values, self.account
        direction = self._one_of((*canary, "direction"), ("increase", "decrease", "either"), "either")
        missing = self._one_of((*canary, "nanStrategy"), ("remove", "replace"), "remove")
        if self._one_of((*canary, "outliers", "strategy"), ("keep", "remove"), "keep") == "remove":
            account.refuse((*canary, "outliers", "strategy"), "the removal of outliers is not carried; keep them")
        if self._one_of((*canary, "effectSize", "measure"), ("meanRatio", "cles"), "meanRatio") == "cles":
            account.refuse((*canary, "effectSize", "measure"), "a common language effect size is not carried; meanRatio is")
        sizes = {}
        for key in ("allowedIncrease", "allowedDecrease", "criticalIncrease", "criticalDecrease"):
            size = values.number((*canary, "effectSize", key))
            sizes[key] = 1.0 if size is None else size
            rises = key.endswith("Increase")
            if size is not None and (size < 1 if rises else not 0 <= size <= 1):
                account.refuse(
                    (*canary, "effectSize", key), f"must be a ratio {'of at least 1' if rises else 'from 0 to 1'}; got {size:g}"
                )
        critical = values.flag((*canary, "critical"))
        must = values.flag((*canary, "mustHaveData"))
        return {"direction": direction, "zero": missing == "replace", "critical": critical, "must": must, **sizes}

    def _one_of(self, place: Place, names: tuple[str, ...], default: str) -> str:
        written = self.values.get(place)
        if written is None or written in names:
            return str(written or default)
        self.account.refuse(place, f"{not_a('one of ' + ', '.join(names), written)}, which Kayenta takes for {default}")
        return default

    def _measure(self, place: Place, bound: str, binding: Binding | None) -> Measure | None:
        account, query = self.account, (*place, "query")
        if binding is not None:
            account.use(query, f"bound to {binding.measures} by the bindings file")
            return binding.measure()
        at, text = self._query(query)
        kind = account.object.get((*query, "type")) or account.object.get((*query, "serviceType")) or "no type"
        if not text.startswith(_FULL_QUERY):
            what = "names series, and not what is asked of them" if kind == "prometheus" else f"a query of {kind} is not read"
            self._unbound(at, bound, what)
            return None
        try:
            measure = measure_of(text.removeprefix(_FULL_QUERY).replace("$\\{", "${"), _sight)
        except Unread as error:
            self._unbound(at, bound, f"the query is not recognised: {error}")
            return None
        account.use(at, "; ".join((measure.told(), *measure.notes)))
        if measure.whose is Whose.BOTH:
            account.refuse(at, "it does not ask for ${scope}: canary and baseline give the same values, and it always passes")
            return None
        return measure

    def _query(self, query: Place) -> tuple[Place, str]:
        """The text of a query, and where it stands; empty where it only names series."""
        for key in ("customInlineTemplate", "customFilter"):
            if isinstance(text := self.account.object.get((*query, key)), str) and text.strip():
                return (*query, key), text.strip()
        named = self.account.object.get((*query, "customFilterTemplate"))
        if isinstance(named, str):
            text = self.account.object.get(("templates", named))
            if isinstance(text, str):
                return (*query, "customFilterTemplate"), text.strip()
            self.account.refuse((*query, "customFilterTemplate"), f"no template {named!r} in the config")
        return query, ""

    def _unbound(self, place: Place, bound: str, why: str) -> None:
        self.found.missing[bound] = why
        self.account.refuse(place, f"{why}; say what it means under {bound!r} in a bindings file (--bindings FILE)")


def compared(measure: Measure, step_s: float, judged: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a metric of the judge. Raises `Unread` for what it does not say.

    >>> judged = {"direction": "decrease", "zero": False, "critical": True, "must": False, "allowedIncrease": 1.0,
    ...     "allowedDecrease": 1.0, "criticalIncrease": 1.0, "criticalDecrease": 1.0}
    >>> compared(Measure("error_rate", 60.0, Whose.CANARY, scale=-100.0, offset=100.0), 60.0, judged)
    {'metric': 'error_rate', 'critical': True}
    """
    if measure.window_s != step_s:
        raise Unread(
            f"each of its values is of {format_duration(measure.window_s)}, and one is taken every {format_duration(step_s)}; "
            "carried are values of one step"
        )
    if measure.whose is not Whose.CANARY or measure.against:
        raise Unread("it must be of one version: Kayenta asks for the canary's and the baseline's values with the same query")
    keys: dict[str, Any] = {"metric": measure.metric}
    rises = measure.scale > 0
    if measure.within_s is not None:
        keys["limit"], rises = format_duration(measure.within_s), not rises
    elif measure.metric == "latency":
        raise Unread("a quantile of each step's latencies is not compared; the mean, or the share of calls within a time, is")
    elif measure.metric == "requests":
        raise Unread("numbers of requests are not compared: they say how traffic is split, and not how it is answered")
    worse = "increase" if rises else "decrease"
    plain = measure.offset == 0 and rises and measure.within_s is None
    up, down = ("Increase", "Decrease") if rises else ("Decrease", "Increase")
    sizes = {
        key: (round(abs(judged[f"{key}{up}"] - 1), 12), round(abs(judged[f"{key}{down}"] - 1), 12))
        for key in ("allowed", "critical")
    }
    if judged["direction"] == "either":
        keys["direction"] = "either"
    elif judged["direction"] != worse:
        raise Unread("it fails only where the new version is better")
    wanted = [("allowed", "tolerance"), *([("critical", "critical_tolerance")] if judged["critical"] else [])]
    for key, name in wanted:
        worse_by, better_by = sizes[key]
        if judged["direction"] == "either" and worse_by != better_by:
            raise Unread(
                f"effect sizes of {key}Increase and {key}Decrease that differ from 1 by unlike amounts are not carried"
            )
        if worse_by and not plain:
            raise Unread("an effect size of a share of good answers is not carried: give the share of bad ones")
        if worse_by:
            keys[name] = worse_by
    if judged["critical"]:
        keys["critical"] = True
    if judged["zero"]:
        if not plain:
            raise Unread("steps without a value taken as 0 are no share of good answers")
        keys["no_value"] = "zero"
    if judged["must"]:
        keys["must_have_data"] = True
    return keys


def _sight(matcher: Matcher) -> Whose | None:
    """A label that must be the scope picks the version that is asked about."""
    return Whose.CANARY if "${scope}" in matcher.value and not matcher.sign.startswith("!") else None
