"""One count of looks for several checks, as Flagger keeps it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Bools
from sim.policy.base import Guardrail, View
from sim.policy.columns import Column
from sim.policy.guardrails.check import Check
from sim.policy.guardrails.counting import Counting, Looks
from sim.policy.setting import DeclaredSetting, Setting
from sim.policy.telling import counted, listed

_SHARED = ("every", "start", "looks")
"""The keys that say when there is a look, which all checks have in common."""


class Together(Counting, Guardrail):
    """Threshold checks that look at the same times and share one count: a look fails where any of them fails.

    With `trip` alone this is Flagger's `threshold`, of all metrics of a canary: failed looks add up over the whole stage, and a
    good one does not reset the count. A look is in doubt where none of the checks fails and any is in doubt, and good where all
    are good. So it is none of these, and skipped, where one has no data and says `no_data: wait`.

    Controls no error rate: see `threshold`, with the chance that any of the checks fails in place of the chance that one does.

    Source: Flagger, its controller's `canary` scheduler, which adds one to `failedChecks` where any metric check fails.

    >>> both = [{"metric": "error_rate", "max": "1%"}, {"metric": "latency", "max": "500ms"}]
    >>> [check.metric for check in Together.model_validate({"checks": both, "trip": 5}).checks]
    ['error_rate', 'latency']
    """

    tells_looks: ClassVar[bool] = True

    kind: Literal["together"] = "together"
    checks: tuple[Check, ...] = Field(
        min_length=1, description="threshold checks that look at the same times; they count together, so none by itself"
    )

    @property
    def _can_doubt(self) -> bool:
        """Whether a look may be in doubt."""
        return any(check.can_doubt for check in self.checks)

    def told(self, setting: Setting) -> str:
        when, _ = self.checks[0].told_looks()
        does = [f"counts together, in looks {when}, {listed([self._told(check, setting) for check in self.checks])}"]
        does.append(f"{'reports' if self.report_only else 'stops'} a challenger that fails {self.told_trip()}")
        if self._can_doubt:
            does.append(f"takes one in doubt in {counted(self.doubt_trip, 'look')} for inconclusive")
        if self.pass_after is not None:
            does.append(f"passes none before {counted(self.pass_after, 'good look')} in a row")
        return ", and ".join(does) + (", and stops nothing" if self.report_only else "")

    @staticmethod
    def _told(check: Check, setting: Setting) -> str:
        _, seen = check.told_looks()
        whose = " and ".join(filter(None, (check.told_bad(setting), check.told_doubt(setting))))
        return f"whose {whose}{seen}"

    def reads(self) -> tuple[tuple[str, str], ...]:
        return tuple((f"checks[{place}].{key}", name) for place, check in enumerate(self.checks) for key, name in check.reads())

    def first_look(self) -> tuple[str, float] | None:
        first = self.checks[0].first_look()
        return None if first is None else (f"checks[0].{first[0]}", first[1])

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return tuple(dict.fromkeys(column for check in self.checks for column in check.needs(setting)))

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        own = self.count_memory(setting, self._can_doubt)
        for place, check in enumerate(self.checks):
            own |= {f"{place}.{key}": array for key, array in check.memory(setting).items()}
        return own

    @property
    def baseline_as(self) -> Literal["nothing", "champion", "added"]:
        return self.checks[0].baseline_as

    def judge(self, view: View) -> NDArray[np.int8]:
        first = self.checks[0]
        each = [
            looks for place, check in enumerate(self.checks) if (looks := check.look(self._view_of(place, view))) is not None
        ]
        # All of them look, or none does.
        if each:
            bad = np.logical_or.reduce([looks.bad for looks in each])
            good = np.logical_and.reduce([looks.good for looks in each])
            doubts = [looks.doubt for looks in each if looks.doubt is not None]
            doubt = np.logical_or.reduce(doubts) & ~bad if doubts else None
            self.count(view.memory, Looks(bad, good, doubt), first.looking(view.age, view.setting))
        return self.found(view.memory, first.looked(view.age, view.setting))

    def last_look_good(self, view: View) -> Bools:
        return self.good_lately(view.memory, self.checks[0].looked(view.age, view.setting))

    def rings(self, view: View, findings: NDArray[np.int8]) -> Bools:
        return np.asarray(view.memory["bad"] & self.checks[0].looking(view.age, view.setting)[:, None])

    def _view_of(self, place: int, view: View) -> View:
        """The view of one of the checks, with its own memory: the same arrays, which it writes to."""
        prefix = f"{place}."
        own = {key.removeprefix(prefix): array for key, array in view.memory.items() if key.startswith(prefix)}
        return replace(view, memory=own)

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        problems = []
        for place, check in enumerate(self.checks):
            # Without a baseline there is nothing that one of them would see otherwise than the others.
            if setting.baseline and check.baseline_as != self.baseline_as:
                rule = "checks that count together must all be against the baseline, or all look at the whole service, or none"
                problems.append((f"checks[{place}].against", rule))
            problems += [(f"checks[{place}].{key}", message) for key, message in check.declared_problems(setting)]
            own = [key for key in Counting.model_fields if getattr(check, key) != Counting.model_fields[key].default]
            rule = "must be left out: these checks count together, by the keys beside `checks`"
            problems += [(f"checks[{place}].{key}", rule) for key in own]
            unlike = [key for key in _SHARED if getattr(check, key) != getattr(self.checks[0], key)]
            problems += [
                (f"checks[{place}].{key}", f"must be that of checks[0], as they look together ({key})") for key in unlike
            ]
        return problems
