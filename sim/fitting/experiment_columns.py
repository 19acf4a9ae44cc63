"""Which columns of a table of past experiments are what, and which of the three forms the table has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from sim.errors import InputError, Problem
from sim.fitting.roles import plain_name, said_wrong
from sim.spelling import did_you_mean, there_are
from sim.units import shown

_BOTH_ARMS: Mapping[str, tuple[str, ...]] = {
    f"{what}_{arm}": tuple(name for word in words for end in ends for name in (f"{word}_{end}", f"{end}_{word}"))
    for what, words in {
        "count": ("count", "n", "users"),
        "mean": ("mean", "average"),
        "variance": ("variance", "var"),
        "conversions": ("conversions", "successes", "converted"),
    }.items()
    for arm, ends in {"c": ("c", "control"), "t": ("t", "treatment")}.items()
}
ROLES: Mapping[str, tuple[str, ...]] = {
    "experiment": ("experiment", "experiment_id", "experiment_name", "test", "test_id", "test_name"),
    "arm": ("arm", "arm_id", "arm_name", "variant", "variant_id", "variant_name", "group", "treatment"),
    "metric": ("metric", "metric_id", "metric_name"),
    "time": ("time", "time_since_start", "timestamp", "date", "day"),
    "estimate": ("estimate", "relative_effect", "effect", "lift", "relative_lift", "uplift"),
    "error": ("error", "standard_error", "std_error", "stderr", "se"),
    "low": ("low", "lower", "lower_bound", "ci_low", "ci_lower", "conf_low"),
    "high": ("high", "upper", "upper_bound", "ci_high", "ci_upper", "conf_high"),
    "confidence": ("confidence", "confidence_level", "level"),
    "count": ("count", "n", "users", "sample_size"),
    "mean": ("mean", "average"),
    "variance": ("variance", "var"),
    "conversions": ("conversions", "successes", "converted"),
    **_BOTH_ARMS,
}
"""What a column can be, and the names by which it is known. `_c` is of the control, `_t` of the treatment."""


class Form(Enum):
    """How a table tells of an experiment: by its result, by a row for both arms, or by a row for each arm."""

    RESULT = "a result a row"
    BOTH = "both arms in a row"
    EACH = "an arm a row"


# A form's columns: all of the first, and of the others one list in full.
_NEEDED: Mapping[Form, tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    Form.RESULT: (("estimate",), (("error",), ("low", "high"))),
    Form.BOTH: (("count_c", "count_t"), (("mean_c", "mean_t", "variance_c", "variance_t"), ("conversions_c", "conversions_t"))),
    Form.EACH: (("experiment", "arm", "count"), (("mean", "variance"), ("conversions",))),
}
_WHO = ("experiment", "arm", "metric", "time")


@dataclass(frozen=True)
class ExperimentColumns:
    """The form of a table, and the name of each column that is used, by its role."""

    form: Form
    names: Mapping[str, str]


def is_experiments(names: Sequence[str]) -> bool:
    """Whether a table with these columns is one of past experiments, and not a log of requests.

    >>> is_experiments(["experiment_id", "time_since_start", "count_c", "count_t"]), is_experiments(["Lift", "SE"])
    (True, True)
    >>> is_experiments(["time", "user", "arm", "converted"])
    False
    """
    known = {role for role, alike in ROLES.items() if any(plain_name(name) in alike for name in names)}
    results = "estimate" in known and known & {"error", "low", "high", "experiment"}
    counts = {"count_c", "count_t"} <= known or {"conversions_c", "conversions_t"} <= known or {"experiment", "count"} <= known
    return bool(results or counts)


def find_columns(names: Sequence[str], given: Mapping[str, str], file: str) -> ExperimentColumns:
    """What each column is, by its name or as it is `given` (the file's name of each role; empty: there is none).

    Raises `InputError` with all columns that are missing, unknown, or could be two things.

    >>> find_columns(["test", "lift", "se", "notes"], {}, "past.csv").names
    {'experiment': 'test', 'estimate': 'lift', 'error': 'se'}
    """
    problems = []
    for role in given:
        if role not in ROLES:
            problems.append(Problem(f"no role {shown(role)}; {did_you_mean(role, ROLES) or there_are(ROLES)}"))
    known = [(role, name) for role, name in given.items() if role in ROLES]
    problems += said_wrong(known, names, file, "--experiment-columns")
    taken = [name for name in given.values() if name]
    found = {role: name for role, name in given.items() if name}
    several = {}
    for role, alike in ROLES.items():
        fits = [name for name in names if plain_name(name) in alike and name not in taken]
        if role not in given and fits:
            found[role] = fits[0]
            if len(fits) > 1:
                several[role] = fits
    form = _form(found)
    needed, ways = _NEEDED[form]
    # The way that lacks least is the one that was meant.
    way = min(ways, key=lambda way: sum(role not in found for role in way))
    lacking = [role for role in (*needed, *way) if role not in found]
    if "time" in found and "experiment" not in found and "experiment" not in needed:
        lacking = ["experiment", *lacking]
    for role in lacking:
        other = " or ".join(" and ".join(each) for each in ways if each != way)
        instead = f" (or {other} instead)" if role in way else ""
        problems.append(Problem(f"has no column for {role}{instead}, with {form.value}; {there_are(names)}", file=file))
    used = {role: found[role] for role in (*_WHO, *needed, *way) if role in found}
    if form is Form.RESULT and "confidence" in found and "low" in way:
        used["confidence"] = found["confidence"]
    for role in used:
        if role in several:
            problems.append(Problem(f"could take several columns for {role}: {', '.join(several[role])}; say which", file=file))
    if problems:
        raise InputError(problems)
    return ExperimentColumns(form, used)


def _form(found: Mapping[str, str]) -> Form:
    """The form that the table seems to have."""
    both = any(role in found for role in _BOTH_ARMS)
    if "estimate" in found and ("error" in found or "low" in found or not both):
        return Form.RESULT
    return Form.BOTH if both else Form.EACH
