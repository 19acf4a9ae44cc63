"""Which column of a file of outcomes, or of a log of events, is what: by its name, or as it is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sim.errors import InputError, Problem
from sim.fitting.columns import ROLES as OF_REQUESTS
from sim.fitting.roles import plain_name, said_wrong
from sim.spelling import there_are

OPTION = "--outcome-columns"
ROLES: Mapping[str, tuple[str, ...]] = {
    "id": ("request_id", "req_id", "exposure_id", "impression_id", "decision_id"),
    "time": (*OF_REQUESTS["time"], *OF_REQUESTS["outcome_time"]),
    "event": ("event", "event_type", "event_name", "type", "kind"),
    "value": ("value", "amount", "revenue", "price"),
}
"""What a column of outcomes can be, and the names by which it is known without being told."""
REQUESTS = ("request", "exposure", "impression", "view", "assignment", "served", "decision", "recommendation")
"""Names of events that are requests, where requests and outcomes stand in one file."""


@dataclass(frozen=True)
class EventColumns:
    """The names of the columns; None where there is no such column."""

    id: str
    time: str | None
    event: str | None
    value: str | None

    def all(self) -> list[str]:
        """All names."""
        return [name for name in (self.id, self.time, self.event, self.value) if name is not None]


def find_event_columns(names: Sequence[str], given: Mapping[str, str], file: str, *, one_log: bool) -> EventColumns:
    """What each column of a file of outcomes is. Raises `InputError` where one is missing, or could be two things."""
    problems = list(said_wrong(given.items(), names, file, OPTION))
    found: dict[str, str] = {role: name for role, name in given.items() if name}
    for role, known in ROLES.items():
        if role in given:
            continue
        alike = [name for name in names if plain_name(name) in known and name not in given.values()]
        if len(alike) > 1:
            choices = " or ".join(f"{OPTION} {role}={name}" for name in alike)
            problems.append(Problem(f"{there_are(alike)}: which is the {role}? Say {choices}", file=file))
        elif alike:
            found[role] = alike[0]
    for role, what in {"id": "the id of the request", **({"event": "what a row is"} if one_log else {})}.items():
        if role not in found and not any(f" the {role}?" in problem.message for problem in problems):
            message = f"which column is the {role}, {what}? Say {OPTION} {role}=COLUMN; {there_are(list(names))}"
            problems.append(Problem(message, file=file))
    if problems:
        raise InputError(problems)
    return EventColumns(found["id"], found.get("time"), found.get("event"), found.get("value"))
