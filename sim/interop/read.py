"""What was read of manifests: rollouts as plans of policies, with the account of every field."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sim.errors import Problem
from sim.interop.accounting import Account, Remark, Row, Status
from sim.interop.objects import Object

BASELINES = ("at-once", "never")
"""The policies that stand beside those that are imported."""


@dataclass(frozen=True)
class Plan:
    """A rollout that was read. `times` are the durations that must be whole ticks; `form` makes the policy.

    `form` takes the tick in seconds, and how long people take as a scenario writes it.
    """

    name: str
    account: Account
    times: tuple[float, ...]
    form: Callable[[float, Any], dict[str, Any]]


@dataclass
class Read:
    """What was read of manifests: their rollouts, the accounts of all objects that are read, and what is left `aside`.

    `missing` are the measures that a bindings file must say something of, each with why; `known` are all that it may; `taken`
    are the names of policies. `weight` is the canary's share of the traffic, where a manifest does not say it; `load_test`
    what a load test sends to a canary that no user meets, as a share of the traffic; None if nobody said.
    """

    plans: list[Plan] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    aside: list[Object] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=lambda: {*BASELINES})
    weight: float = 0.05
    load_test: float | None = None

    def rows(self) -> list[Row]:
        """Every field of every object, by file and line; an object that is left aside is one row."""
        rows = [row for account in self.accounts for row in account.rows()]
        rows += [
            Row(each.file, each.line(()), "kind", each.kind or "none", Status.IGNORED, "it does not say when traffic moves")
            for each in self.aside
        ]
        return sorted(rows, key=lambda row: (row.file, row.line))

    def remarks(self) -> list[Remark]:
        """What does another thing than it seems to, by file and line."""
        found = [remark for account in self.accounts for remark in account.remarks]
        return sorted(found, key=lambda remark: (remark.file, remark.line))

    def problems(self) -> list[Problem]:
        """The fields that are refused, by file and line."""
        found = [problem for account in self.accounts for problem in account.problems()]
        return sorted(found, key=lambda problem: (problem.file, problem.line, problem.column))


def name_of(text: str, taken: set[str]) -> str:
    """A name for a policy, of the name of an object: letters, digits, _ and -, and not that of another.

    >>> name_of("shop.web", {"shop-web"})
    'shop-web-2'
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:60] or "rollout"
    name, number = plain, 1
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    taken.add(name)
    return name
