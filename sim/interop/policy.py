"""What a program does, step by step, as stages of a policy.

A reader says what happens in order: weights, holds, gates of people, analyses. This module lays it out: it finds when each
analysis looks, and where a stage must end because that is not known before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sim.errors import Place
from sim.interop.accounting import Account
from sim.units import format_duration, format_share, parse_duration


@dataclass(frozen=True)
class Weight:
    """From here on the canary has this share of live traffic."""

    share: float
    place: Place


@dataclass(frozen=True)
class Mirror:
    """From here on this share of live requests is copied; None ends it."""

    share: float | None
    place: Place


@dataclass(frozen=True)
class Hold:
    """All stays as it is for a while."""

    seconds: float


@dataclass(frozen=True)
class Gate:
    """All stays as it is until a person approves."""

    place: Place


@dataclass(frozen=True)
class Looks:
    """A check that looks: first after `delay_s`, then every `every_s`, `count` times (None: until the rollout ends).

    `keys` are those of the check beside when it looks; a look sees the last `window_s`. `pass_after`: it is over after so many
    good looks in a row.
    """

    keys: dict[str, Any]
    window_s: float
    delay_s: float
    every_s: float | None
    count: int | None
    account: Account
    place: Place
    pass_after: int | None = None

    @property
    def length_s(self) -> float:
        """How long it takes where it is waited for."""
        return self.delay_s + ((self.count or 1) - 1) * (self.every_s or 0.0)


@dataclass(frozen=True)
class Analysis:
    """Checks that are waited for, or that begin here and go on in the background."""

    looks: tuple[Looks, ...]
    waited: bool
    place: Place


Op: TypeAlias = Weight | Mirror | Hold | Gate | Analysis


@dataclass
class Laid:
    """A stage that is laid out so far: steps (share, seconds, whether a person must approve), checks, and how long it is."""

    mirror: float | None = None
    steps: list[tuple[float, float, bool]] = field(default_factory=list)
    checks: list[Any] = field(default_factory=list)
    until_passed: bool = False

    @property
    def length_s(self) -> float:
        """Its length, without the time that people take."""
        return sum(seconds for _, seconds, _ in self.steps)

    @property
    def known(self) -> bool:
        """Whether its length does not depend on people."""
        return not any(gate for _, _, gate in self.steps)


def times_of(ops: Iterable[Op]) -> tuple[float, ...]:
    """The durations, in seconds, that must be whole ticks."""
    times: list[float] = []
    for op in ops:
        if isinstance(op, Hold):
            times.append(op.seconds)
        elif isinstance(op, Analysis):
            for looks in op.looks:
                times += [looks.delay_s, looks.every_s or 0.0, looks.window_s]
    return tuple(times)


def tick_of(times: Iterable[float]) -> float:
    """The longest tick, in seconds, of which all durations are whole multiples; 60 where there are none.

    >>> tick_of([90.0, 60.0]), tick_of([])
    (30.0, 60.0)
    """
    thousandths = math.gcd(*(round(1000 * each) for each in times))
    return thousandths / 1000 if thousandths else 60.0


class Layout:
    """Lays out what a program does as stages. What cannot be said is refused in the account."""

    def __init__(self, account: Account, tick_s: float) -> None:
        self.account = account
        self.tick_s = tick_s
        self.stages = [Laid()]
        self.weight = 0.0
        # Checks in the background that a stage has begun, which none that follows could go on with.
        self.background: list[tuple[Looks, float]] = []

    def lay(self, ops: Sequence[Op]) -> list[Laid]:
        """The stages, each of some length."""
        for op in ops:
            if isinstance(op, Weight):
                self.weight = op.share
                if op.share > 0 and self.stage.mirror is not None:
                    self.account.refuse(op.place, "live traffic of the canary while requests are mirrored is not carried")
            elif isinstance(op, Mirror):
                self._mirror(op)
            elif isinstance(op, Hold):
                if op.seconds and self.stage.until_passed:
                    self._next_stage()
                self._hold(op.seconds)
            elif isinstance(op, Gate):
                if self.stage.until_passed:
                    self._next_stage()
                self._gate(op)
            elif op.waited:
                self._wait_for(op)
            else:
                self._begin(op)
        for stage in self.stages:
            stage.checks = [check for check, looks in stage.checks if self._ever_looks(stage, check, looks)]
        return [stage for stage in self.stages if stage.length_s or not stage.known or stage.until_passed]

    def _ever_looks(self, stage: Laid, check: dict[str, Any], looks: Looks) -> bool:
        """Whether the first look of a check is before its stage ends."""
        first_s = parse_duration(check.get("start", check["every"]))
        if not stage.known or stage.until_passed or first_s <= stage.length_s:
            return True
        looks.account.remark(
            looks.place,
            f"its first measurement is due {format_duration(first_s)} after the start, when all is over: it never looks",
            "make it earlier (initialDelay, startingStep), or hold the weights for longer",
        )
        return False

    @property
    def stage(self) -> Laid:
        """The stage that is being laid out."""
        return self.stages[-1]

    def _hold(self, seconds: float) -> None:
        steps = self.stage.steps
        if steps and steps[-1][0] == self.weight and not steps[-1][2]:
            steps[-1] = (self.weight, steps[-1][1] + seconds, False)
        elif seconds:
            steps.append((self.weight, seconds, False))

    def _gate(self, gate: Gate) -> None:
        if self.stage.mirror is not None:
            self.account.refuse(gate.place, "a person's approval while requests are mirrored is not carried")
        steps = self.stage.steps
        if steps and steps[-1][0] == self.weight and not steps[-1][2]:
            steps[-1] = (self.weight, steps[-1][1], True)
        else:
            steps.append((self.weight, 0.0, True))

    def _mirror(self, op: Mirror) -> None:
        if op.share is not None and self.weight > 0:
            self.account.refuse(op.place, "a mirror beside live traffic of the canary is not carried")
        self._next_stage()
        self.stage.mirror = op.share

    def _next_stage(self) -> None:
        if not self.stage.steps and not self.stage.checks:
            return
        for looks, end_s in self.background:
            if not self.stage.known or end_s > self.stage.length_s:
                looks.account.refuse(
                    looks.place,
                    "it goes on in the background while a step begins that must be a stage of its own here (an analysis after "
                    "a pause without end, one that ends by successes in a row, or a mirror), where counts begin anew",
                )
        self.background = []
        self.stages.append(Laid(self.stage.mirror))

    def _wait_for(self, op: Analysis) -> None:
        if not self.stage.known or self.stage.until_passed:
            # When it begins is known in a stage of its own only.
            self._next_stage()
        start_s = self.stage.length_s
        first = start_s == 0
        passing = [looks for looks in op.looks if looks.pass_after is not None]
        if passing:
            self._next_stage()
            start_s, first = self.stage.length_s, self.stage.length_s == 0
        late_s = 0.0
        for looks in op.looks:
            late_s = max(late_s, self._check(looks, start_s, first))
        length_s = max((looks.length_s for looks in op.looks), default=0.0) + late_s
        if passing:
            self.stage.until_passed = True
        self._hold(length_s)

    def _begin(self, op: Analysis) -> None:
        if not self.stage.known or self.stage.until_passed:
            self._next_stage()
        for looks in op.looks:
            if looks.pass_after is not None:
                looks.account.refuse((*looks.place, "consecutiveSuccessLimit"), "in the background, nothing waits for it")
            start_s = self.stage.length_s
            self._check(looks, start_s, start_s == 0)
            self.background.append((looks, start_s + looks.length_s if looks.count else math.inf))

    def _check(self, looks: Looks, start_s: float, first: bool) -> float:
        """Adds a check; how much later than it says it looks, because there is nothing to see at the start of a stage."""
        at_s = start_s + looks.delay_s
        late_s = 0.0
        if at_s == 0 and first:
            late_s = at_s = self.tick_s
            looks.account.remark(
                looks.place,
                "the first measurement is taken as the canary gets its first request, and sees nothing of it; here it is "
                f"taken {format_duration(self.tick_s)} later",
                "give it an initialDelay of at least the window of its query",
            )
        every_s = looks.every_s or self.tick_s
        keys = dict(looks.keys)
        if keys.get("over") == format_duration(every_s) and at_s == every_s:
            # The same looks, as a policy says them shortest.
            del keys["over"]
        check = {**keys, "every": format_duration(every_s)}
        if at_s != every_s:
            check["start"] = format_duration(at_s)
        if looks.count is not None:
            check["looks"] = looks.count
        if looks.pass_after is not None:
            check["pass_after"] = looks.pass_after
        self.stage.checks.append((check, looks))
        return late_s


def form_of(name: str, stages: Sequence[Laid], approval: Any) -> dict[str, Any]:
    """The policy of stages, in its shortest form. `approval` says how long people take, as a scenario writes it."""
    if not stages:
        return {"name": name, "kind": "switch"}
    if len(stages) == 1 and stages[0].checks and stages[0].mirror is None and not stages[0].until_passed:
        steps = _steps(stages[0], approval)
        return {"name": name, "kind": "canary", "steps": steps, "checks": stages[0].checks, **_reaction(stages[0], approval)}
    written = []
    for index, stage in enumerate(stages):
        own = {"name": name if len(stages) == 1 else f"{name}-{index + 1}"}
        if stage.mirror is not None:
            route: dict[str, Any] = {"kind": "mirror", "fraction": format_share(stage.mirror)}
            evidence: dict[str, Any] = {"kind": "survive", "duration": format_duration(stage.length_s)}
        elif stage.until_passed:
            share = stage.steps[-1][0] if stage.steps else 0.0
            route = {"kind": "fixed", "weights": [format_share(round(1 - share, 12)), format_share(share)]}
            evidence = {"kind": "survive"}
        else:
            route = {"kind": "ramp", "steps": _steps(stage, approval)}
            evidence = {"kind": "survive"}
        checks = {"checks": stage.checks} if stage.checks else {}
        written.append({**own, "allocation": route, "evidence": evidence, **checks, **_reaction(stage, approval)})
    return {"name": name, "kind": "stages", "stages": written}


def _reaction(stage: Laid, approval: Any) -> dict[str, Any]:
    """How long it takes until somebody has looked at what is in doubt, where anything may be."""
    doubts = any("doubt" in check.values() or {"doubt_above", "doubt_below"} & check.keys() for check in stage.checks)
    return {"reaction": {"inconclusive": approval}} if doubts else {}


def _steps(stage: Laid, approval: Any) -> list[dict[str, Any]]:
    steps = []
    for share, seconds, gate in stage.steps:
        step: dict[str, Any] = {"weight": format_share(share)}
        if seconds:
            step["bake"] = format_duration(seconds)
        if gate:
            step["approval"] = approval
        steps.append(step)
    return steps
