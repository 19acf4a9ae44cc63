"""Rules such as `wrong_ship: "< 5%"`, of `thresholds` and `require`: how they are read, and whether a value keeps one."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from sim.compare.measure import Unit
from sim.compare.measures import MEASURES
from sim.errors import InputError, Problem, format_path
from sim.spelling import there_are
from sim.stats.intervals import Estimate
from sim.units import parse_duration, parse_share, shown

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_RULE = r"\s*(<=|>=|<|>)\s*(\S.*?)\s*"


@dataclass(frozen=True)
class Rule:
    """A rule for one measure, of one policy or (None) of every policy but the baselines. `value` is in the measure's unit."""

    measure: str
    policy: str | None
    comparison: str
    value: float

    def holds(self, value: float) -> bool:
        """Whether a value of the measure keeps the rule."""
        return compares(self.comparison, value, self.value)

    def breached_by(self, estimate: Estimate, horizon_s: float) -> bool:
        """Whether a point estimate breaks the rule; None with trials is a time beyond the horizon.

        >>> parse("correct", "> 80%").breached_by(Estimate(0.79, 0.7, 0.85, 100), 60.0)
        True
        >>> parse("time_to_decision_p50", "< 1m").breached_by(Estimate(None, None, None, 100), 60.0)
        True
        """
        if estimate.estimate is not None:
            return not self.holds(estimate.estimate)
        return estimate.n > 0 and self.comparison in ("<", "<=") and self.value <= horizon_s


def compares(comparison: str, value: float, bound: float) -> bool:
    """Whether a value is `<`, `<=`, `>` or `>=` a bound.

    >>> compares("<", 0.04, 0.05)
    True
    """
    return _COMPARE[comparison](value, bound)


def parse(key: str, rule: str, root: str = "thresholds") -> Rule:
    """A rule from its key (`measure` or `policy.measure`) and its rule; `root` is the key of the file that has it.

    The value is a share (`5%`), a duration (`2h`) or a number, as the measure's unit asks. Raises `InputError`.

    >>> parse("wrong_ship", "< 5%")
    Rule(measure='wrong_ship', policy=None, comparison='<', value=0.05)
    >>> parse("canary.time_to_decision_p50", "<= 2h").value
    7200.0
    """
    path = format_path((root, key))
    policy, name = named(key, path=path)
    match = re.fullmatch(_RULE, rule) if isinstance(rule, str) else None
    example, read = _READ[MEASURES[name].unit]
    if match is None:
        message = f'must be <, <=, > or >= and a value, such as "{example}"; got {shown(rule)}'
        raise InputError([Problem(message, path=path)])
    try:
        value = read(match[2])
    except InputError as error:
        raise InputError([Problem(problem.message, path=path) for problem in error.problems]) from None
    return Rule(name, policy, match[1], value)


def problems(rules: Mapping[str, str], policies: Collection[str] | None = None, root: str = "thresholds") -> list[Problem]:
    """The problems of the rules of a scenario's `root`; `policies` are the names that a key may start with (default: any).

    >>> print(*problems({"wrong_shipp": "< 5%", "regret": "5", "cannary.correct": "> 80%"}, ["canary"]), sep="\\n")
    thresholds.wrong_shipp: no measure 'wrong_shipp'; did you mean wrong_ship?
    thresholds.regret: must be <, <=, > or >= and a value, such as "< 1000"; got '5'
    thresholds["cannary.correct"]: no policy 'cannary'; did you mean canary?
    """
    wrong: list[Problem] = []
    for key, rule in rules.items():
        try:
            parse(key, rule, root)
            named(key, policies, format_path((root, key)))
        except InputError as error:
            wrong += error.problems
    return wrong


def named(key: str, policies: Collection[str] | None = None, path: str = "") -> tuple[str | None, str]:
    """The policy, None of all, and the measure of a key such as `wrong_ship` or `ab.wrong_ship`.

    Raises `InputError`, at `path`, for a measure that there is not, and for a policy that is none of `policies` (default: any).

    >>> named("ab.wrong_ship"), named("regret")
    (('ab', 'wrong_ship'), (None, 'regret'))
    """
    policy, _, name = key.rpartition(".")
    for what, given, known in (("measure", name, MEASURES), ("policy", policy or None, policies)):
        if given is not None and known is not None and given not in known:
            close = get_close_matches(given, known, n=1)
            hint = f"did you mean {close[0]}?" if close else there_are(known)
            raise InputError([Problem(f"no {what} {shown(given)}; {hint}", path=path)])
    return policy or None, name


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError([Problem(f"must be a number, such as 1000; got {shown(text)}")])
    return number


_READ: Mapping[Unit, tuple[str, Callable[[str], float]]] = {
    "share": ("< 5%", parse_share),
    "s": ("< 2h", parse_duration),
    "requests": ("< 1000", _number),
    "users": ("< 1000", _number),
    "count": ("< 1000", _number),
    "value": ("< 1000", _number),
}
