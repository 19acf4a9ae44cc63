"""Which column of a request log is what: by its name, or as it is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sim.errors import InputError, Problem
from sim.fitting.roles import plain_name, said_wrong
from sim.spelling import did_you_mean, there_are
from sim.units import shown

ROLES: Mapping[str, tuple[str, ...]] = {
    "time": ("time", "timestamp", "ts", "datetime", "event_time", "request_time", "created_at"),
    "arm": ("arm", "variant", "version", "model_version", "treatment", "group"),
    "user": ("user", "user_id", "uid", "visitor", "visitor_id", "customer_id"),
    "outcome": (
        "outcome", "reward", "converted", "conversion", "click", "clicked", "purchase", "purchased", "bought", "sale",
        "revenue", "amount", "correct", "success", "rating", "score",
    ),
    "outcome_time": ("outcome_time", "conversion_time", "converted_at", "feedback_time", "known_at"),
    "latency": (
        "latency", "latency_ms", "latency_s", "duration_ms", "duration", "response_time", "response_time_ms", "elapsed_ms",
    ),
    "error": ("error", "failed", "is_error"),
    "status": ("status", "status_code", "http_status"),
    "segment": ("segment", "device", "platform", "country", "region", "plan"),
    "covariate": ("covariate", "before", "pre_period"),
}  # fmt: skip
"""What a column can be, and the names by which it is known without being told."""
MANY = ("outcome",)
_NEEDED = {"time": "when each request came", "outcome": "what is to be improved"}
_OPTION = "--columns"


@dataclass(frozen=True)
class LogColumns:
    """The names of a log's columns; None where it has no such column."""

    time: str
    outcomes: tuple[str, ...]
    arm: str | None = None
    user: str | None = None
    outcome_time: str | None = None
    latency: str | None = None
    error: str | None = None
    status: str | None = None
    segment: str | None = None
    covariate: str | None = None

    def roles(self) -> Mapping[str, str]:
        """What each column is, by its name."""
        single = {role: getattr(self, role) for role in ROLES if role not in MANY}
        named = {name: role for role, name in single.items() if name is not None}
        return {**named, **dict.fromkeys(self.outcomes, "outcome")}


def parse_roles(text: str, option: str = _OPTION, known: Mapping[str, object] = ROLES) -> tuple[tuple[str, str], ...]:
    """Roles and names of columns, as they are given in one option. An empty name says that there is no such column.

    >>> parse_roles("time=ts, outcome=bought, outcome=revenue, segment=")
    (('time', 'ts'), ('outcome', 'bought'), ('outcome', 'revenue'), ('segment', ''))
    """
    pairs: list[tuple[str, str]] = []
    problems = []
    for part in text.split(","):
        role, equals, name = (piece.strip() for piece in part.partition("="))
        if not equals:
            problems.append(Problem(f"must be ROLE=COLUMN, such as time=ts,outcome=bought; got {shown(part)}", option))
        elif role not in known:
            problems.append(Problem(f"no role {shown(role)}; {did_you_mean(role, known) or there_are(known)}", option))
        elif role not in MANY and role in dict(pairs):
            problems.append(Problem(f"{role} is given twice", option))
        else:
            pairs.append((role, name))
    if problems:
        raise InputError(problems)
    return tuple(pairs)


def find_columns(names: Sequence[str], given: Sequence[tuple[str, str]], file: str) -> LogColumns:
    """What each column of a log is. Raises `InputError` where one is missing, or could be two things.

    >>> find_columns(["ts", "variant", "clicked", "latency_ms"], [], "log.csv").roles()
    {'ts': 'time', 'variant': 'arm', 'latency_ms': 'latency', 'clicked': 'outcome'}
    """
    said: dict[str, list[str]] = {}
    for role, name in given:
        said.setdefault(role, []).extend([name] if name else [])
    problems = list(said_wrong(given, names, file, _OPTION))
    taken = [name for _, name in given if name]
    found: dict[str, list[str]] = dict(said)
    for role, known in ROLES.items():
        if role in said:
            continue
        alike = [name for name in names if plain_name(name) in known and name not in taken]
        if len(alike) > 1 and role not in MANY:
            choices = " or ".join(f"{_OPTION} {role}={name}" for name in alike)
            problems.append(Problem(f"{there_are(alike)}: which is the {role}? Say {choices}", file=file))
        found[role] = alike
    for role, what in _NEEDED.items():
        if not found[role] and not any(problem.message.find(f" the {role}") > 0 for problem in problems):
            message = f"which column is the {role}, {what}? Say {_OPTION} {role}=COLUMN; {there_are(list(names))}"
            problems.append(Problem(message, file=file))
    if problems:
        raise InputError(problems)
    single = {role: found[role][0] for role in ROLES if role not in MANY and found[role]}
    return LogColumns(outcomes=tuple(dict.fromkeys(found["outcome"])), **single)
