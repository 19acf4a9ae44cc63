"""The policies among which is searched: families, and the values that their settings may take."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sim.policy.setting import Setting
from sim.scenario.schema import Scenario
from sim.scenario.search import EVEN, Family, Rule, Search
from sim.units import format_duration, format_share

T = TypeVar("T")
Policy = dict[str, Any]
"""A policy as a file writes it, without its name."""

# What a test of the whole traffic of the horizon can just show is the least effect that it is worth sizing a test for.
_QUANTILES_OF_TEST = 2.8
_MULTIPLES = (1.0, 1.5, 2.0, 3.0, 4.5, 7.0, 10.0)
_ALPHAS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
_THRESHOLDS = (0.8, 0.9, 0.95, 0.975, 0.99, 0.995)
_CARING = (0.0005, 0.001, 0.002, 0.005, 0.01)
# Jeffreys (1961): substantial, strong, very strong.
_BAYES_FACTORS = (3.0, 10.0, 30.0)
_BAKES = (1 / 200, 1 / 100, 1 / 50, 1 / 25, 1 / 12, 1 / 6)
# Where ramps end: the weight at which a comparison is sharpest.
_FULL = 0.5


class Ask(Protocol):
    """What proposes settings."""

    def kind(self, name: str, kinds: Sequence[str]) -> str:
        """One of several kinds, in no order."""

    def value(self, name: str, values: Sequence[T]) -> T:
        """One of several values that rise."""


@dataclass(frozen=True)
class Space:
    """The families, and by setting the values that it may take, as a file writes them.

    `guarded` are the checks that every ramp has: the metrics of the scenario that have a `max`.
    """

    families: tuple[Family, ...]
    rules: tuple[Rule, ...]
    values: Mapping[str, tuple[Any, ...]]
    primary: str
    rises: bool
    arms: int
    guarded: tuple[Policy, ...] = ()

    def propose(self, ask: Ask) -> tuple[str, Policy]:
        """A policy of one of the families, and a name of what it is."""
        family = ask.kind("family", self.families)
        return _FAMILIES[family](self, ask)

    def pick(self, ask: Ask, family: str, setting: str) -> Any:
        """A value of a setting. Families have settings of their own, as what suits one says little of another."""
        return ask.value(f"{family}.{setting}", self.values[setting])


def space_of(scenario: Scenario, setting: Setting, requests: float) -> Space:
    """The space of a scenario: what its `search` says, and usual values for what it leaves out.

    `setting` is what a team knows; `requests` is how many arrive by the horizon.
    """
    search = scenario.search or Search()
    metric = setting.metrics[setting.primary]
    effects = _effects(metric.nominal_mean, metric.nominal_sd, requests / len(setting.arms))
    values: dict[str, tuple[Any, ...]] = {
        "alpha": _shares(_ALPHAS), "mde": _shares(effects),
        "looks": (2, 3, 5, 10, 20), "threshold": _shares(_THRESHOLDS), "caring": _shares(_CARING),
        "share": _shares((0.1, 0.2, 0.35, 0.5)), "floor": _shares((0.02, 0.05, 0.1, 0.2, 0.4)),
        "first": _shares((0.01, 0.05, 0.1, 0.2)), "factor": (1.5, 2.0, 3.0, 5.0),
        "bake": _durations(setting), "ratio": _shares((0.8, 0.9, 0.95, 0.98)),
        "budget": _budgets(metric.nominal_mean, requests), "chance": _shares((0.02, 0.05, 0.1, 0.2)),
        "tolerance": _shares((0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)),
    }  # fmt: skip
    own = search.settings.model_dump(mode="json", exclude_none=True)
    limits = [each.model_dump(mode="json", exclude_none=True) for each in scenario.metrics if each.role == "guardrail"]
    guarded = tuple(
        {key: each[of] for key, of in (("metric", "name"), ("max", "max"), ("quantile", "quantile")) if of in each}
        | {"trip": 2, "min_requests": 50}
        for each in limits
        if "max" in each
    )
    return Space(
        search.families, search.rules, values | {name: tuple(of) for name, of in own.items()}, setting.primary, metric.sign > 0,
        len(setting.arms), guarded,
    )  # fmt: skip


def _effects(mean: float, sd: float, outcomes: float) -> tuple[float, ...]:
    """Effects that tests may be sized for: the least that can be shown by the horizon, and multiples of it."""
    if mean == 0 or sd <= 0:
        return (0.01, 0.02, 0.05, 0.1)
    least = _QUANTILES_OF_TEST * sd * math.sqrt(2 / max(outcomes, 2.0)) / abs(mean)
    return tuple(sorted({min(max(_digits(least * multiple), 1e-4), 1.0) for multiple in _MULTIPLES}))


def _budgets(mean: float, requests: float) -> tuple[float, ...]:
    """Losses that may be accepted: parts of all that the champion earns by the horizon."""
    earned = abs(mean) * requests or requests
    return tuple(_digits(earned * part) for part in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2))


def _durations(setting: Setting) -> tuple[str, ...]:
    """Whole numbers of ticks, up to a sixth of the horizon."""
    ticks = sorted({max(1, round(part * setting.ticks)) for part in _BAKES})
    return tuple(format_duration(count * setting.tick_s) for count in ticks)


def _digits(value: float) -> float:
    """A number of two digits, as people write it."""
    return float(f"{value:.2g}")


def _shares(values: Sequence[float]) -> tuple[str, ...]:
    return tuple(format_share(value) for value in values)


def _test(space: Space, ask: Ask, family: str) -> Policy:
    """A rule of evidence."""
    kinds = space.rules if family != "bandit" else tuple(rule for rule in space.rules if rule not in EVEN)
    kind = ask.kind(f"{family}.evidence", kinds)
    if kind == "posterior":
        return {"kind": kind, "threshold": space.pick(ask, family, "threshold")}
    if kind == "expected_loss":
        return {"kind": kind, "threshold": space.pick(ask, family, "caring")}
    if kind == "rope":
        return {"kind": kind, "mass": space.pick(ask, family, "threshold"), "region": space.pick(ask, family, "mde")}
    if kind == "bayes_factor":
        factor = ask.value(f"{family}.bayes_factor", _BAYES_FACTORS)
        return {"kind": kind, "factor": factor, "expected_effect": space.pick(ask, family, "mde")}
    if kind == "betting":
        return {"kind": kind, "alpha": space.pick(ask, family, "alpha")}
    rule = {"kind": kind, "alpha": space.pick(ask, family, "alpha"), "mde": space.pick(ask, family, "mde")}
    return rule | ({"looks": space.pick(ask, family, "looks")} if kind == "group_sequential" else {})


def _ab(space: Space, ask: Ask) -> tuple[str, Policy]:
    evidence = _test(space, ask, "ab")
    policy: Policy = {"kind": "ab", "evidence": evidence}
    if space.arms == 2:
        share = space.pick(ask, "ab", "share")
        policy["split"] = [format_share(1 - _number(share)), share]
    return f"ab-{evidence['kind']}", policy


def _bandit(space: Space, ask: Ask) -> tuple[str, Policy]:
    evidence = _test(space, ask, "bandit")
    floor = format_share(_digits(_number(space.pick(ask, "bandit", "floor")) / space.arms))
    return f"bandit-{evidence['kind']}", {
        "kind": "bandit", "allocation": {"kind": "thompson", "floor": floor}, "evidence": evidence
    }  # fmt: skip


def _growth(space: Space, ask: Ask, family: str) -> Policy:
    """Weights that grow to a half."""
    return {
        "kind": "exponential", "first": space.pick(ask, family, "first"), "factor": space.pick(ask, family, "factor"),
        "until": format_share(_FULL), "every": space.pick(ask, family, "bake"),
    }  # fmt: skip


def _ramp(space: Space, ask: Ask, family: str) -> Policy:
    """A canary: weights that grow, and what they must survive."""
    growth = _growth(space, ask, family)
    ratio = _number(space.pick(ask, family, "ratio"))
    bound = {"min_ratio": ratio} if space.rises else {"max_ratio": _digits(1 / ratio)}
    own = {"metric": space.primary, **bound, "over": "stage", "every": growth["every"], "min_requests": 100}
    return {"kind": "canary", "ramp": growth, "checks": [*space.guarded, own]}


def _canary(space: Space, ask: Ask) -> tuple[str, Policy]:
    return "canary", _ramp(space, ask, "canary")


def _chain(space: Space, ask: Ask) -> tuple[str, Policy]:
    evidence = _test(space, ask, "chain")
    stages = [{"name": "ramp", **_ramp(space, ask, "chain")}, {"name": "test", "kind": "ab", "evidence": evidence}]
    return f"chain-{evidence['kind']}", {"kind": "stages", "stages": stages}


def _risk_budget(space: Space, ask: Ask) -> tuple[str, Policy]:
    evidence = _test(space, ask, "risk_budget")
    allocation = {
        "kind": "risk_budget", "budget": space.pick(ask, "risk_budget", "budget"),
        "chance": space.pick(ask, "risk_budget", "chance"), "every": space.pick(ask, "risk_budget", "bake"),
        "expected_effect": space.pick(ask, "risk_budget", "mde"),
    }  # fmt: skip
    return f"risk_budget-{evidence['kind']}", {"kind": "bandit", "allocation": allocation, "evidence": evidence}


def _sqr(space: Space, ask: Ask) -> tuple[str, Policy]:
    evidence = _test(space, ask, "sqr")
    weight, factor = _number(space.pick(ask, "sqr", "first")), space.pick(ask, "sqr", "factor")
    weights = []
    while weight < _FULL:
        weights.append(weight)
        weight *= factor
    every = space.pick(ask, "sqr", "bake")
    allocation = {
        "kind": "sqr", "weights": [*_shares([_digits(each) for each in weights]), format_share(_FULL)],
        "tolerance": space.pick(ask, "sqr", "tolerance"), "chance": space.pick(ask, "sqr", "chance"),
        "every": every, "stay": every, "expected_effect": space.pick(ask, "sqr", "mde"),
    }  # fmt: skip
    checks = list(space.guarded)
    return f"sqr-{evidence['kind']}", {"kind": "bandit", "allocation": allocation, "evidence": evidence, "checks": checks}


def _staged(space: Space, ask: Ask) -> tuple[str, Policy]:
    watched = {
        "kind": "degradation", "metric": space.primary, "alpha": space.pick(ask, "staged", "alpha"),
        "mde": space.pick(ask, "staged", "mde"),
    }  # fmt: skip
    return "staged", {"kind": "canary", "ramp": _growth(space, ask, "staged"), "checks": [*space.guarded, watched]}


_FAMILIES: Mapping[str, Callable[[Space, Ask], tuple[str, Policy]]] = {
    "ab": _ab, "bandit": _bandit, "canary": _canary, "chain": _chain, "risk_budget": _risk_budget,
    "sqr": _sqr, "staged": _staged,
}  # fmt: skip


def _number(share: str) -> float:
    """The number of a share that is written as one: 10% is .1."""
    from sim.units import parse_share

    return parse_share(share)
