"""A few trials played again, to tell their stories: what a policy saw, what it found, and what was true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats, Ints
from sim.engine.catalogue import make
from sim.policy.base import Evidence, Finding, Guardrail, Routing, Telemetry, Verdict
from sim.policy.columns import moments_of
from sim.policy.machine import StagedPolicy
from sim.run.blocks import Work
from sim.run.story import ArmStory, Event, Pick, Story
from sim.run.trial import sample_ticks
from sim.stats.two_sample import two_sample
from sim.world.offline import scores
from sim.world.world import Truth

LEAST_TRIALS, MOST_TICKS = 20, 100_000
"""Of fewer trials none is typical, and more ticks would take too much memory."""
# The most moments of a story.
_SAMPLES = 90
_SAID = {
    Finding.PASS: "{part} passes {arms}", Finding.FAIL: "{part} fails {arms}",
    Finding.INCONCLUSIVE: "{part} cannot tell of {arms}",
    Finding.NULL: "{part} ends without a finding on {arms}",
}  # fmt: skip


def stories(work: Work, policy: str, picks: Sequence[Pick]) -> list[Story]:
    """The stories of some trials of a policy, which are played again, to the same bits."""
    replications = np.unique([pick.replication for pick in picks])
    truth = work.world.realise(replications)
    machine = work.forms[policy].build(work.forms, work.world.arms)
    if machine.immediate is not None:
        return []
    notes = _played(work, truth, machine)
    return [notes.story(policy, pick, int(np.flatnonzero(replications == pick.replication)[0])) for pick in picks]


def _played(work: Work, truth: Truth, policy: StagedPolicy) -> _Notes:
    """What was noted while a policy was played in a few replications."""
    world = truth.world
    setting = world.setting(truth.rows, truth.replications)
    engine = make(work.engine)(truth, policy.needs(setting), policy.mirrors())
    notes = _Notes(truth, policy)
    policy.heard = notes.hear
    routing = policy.start(setting, scores(truth, policy.evaluations(setting)))
    notes.begin(routing)
    while routing.rows.size and engine.tick < world.ticks:
        telemetry = engine.step(routing)
        before, routing = routing, policy.step(telemetry)
        notes.see(telemetry, before, routing)
    return notes


@dataclass
class _Notes:
    """What is noted of R replications tick by tick: times T grow as they are played."""

    truth: Truth
    policy: StagedPolicy
    events: list[list[Event]] = field(default_factory=list)
    share: list[Floats] = field(default_factory=list)
    moments: list[Floats] = field(default_factory=list)
    _told: set[tuple[int, int, int, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        # A stage that decides before any traffic is heard before the policy has begun.
        rows, arms = self.truth.rows, len(self.truth.world.arms)
        self.events = [[] for _ in range(rows)]
        self._sums = np.zeros((rows, arms, 3))
        self._live = np.zeros((rows, arms))
        self._cohort = np.full(rows, -1)

    def begin(self, routing: Routing) -> None:
        metric = self.policy.setting.metrics.get(self.policy.setting.primary)
        wanted = () if metric is None else moments_of(metric)
        seen = all(column in self.policy.columns for column in wanted) and bool(wanted)
        self._metric, self._places = metric, [self.policy.columns[column] for column in wanted] if seen else []
        self._end(0, np.arange(self.truth.rows))
        self._enter(0, routing)
        self._note(routing)

    def hear(self, done: int, part: Evidence | Guardrail, rows: Ints, findings: NDArray[np.int8]) -> None:
        """A part of a stage has judged: what is new of it is an event."""
        arms = self.truth.world.told_arms
        quiet = {Finding.UNDECIDED, *([Finding.PASS, Finding.NULL] if isinstance(part, Guardrail) else [])}
        name = _name(part)
        for place, row in enumerate(rows.tolist()):
            found: dict[Finding, list[str]] = {}
            for arm in range(1, len(arms)):
                finding, key = Finding(findings[place, arm]), (row, int(self._cohort[row]), arm, name)
                if finding not in quiet and key not in self._told:
                    self._told.add(key)
                    found.setdefault(finding, []).append(arms[arm])
            for finding, which in found.items():
                said = _SAID[finding].format(part=name, arms=" and ".join(which))
                told = isinstance(part, Guardrail) and not part.stops
                self._say(row, done, f"{said}, and stops nothing" if told else said)

    def see(self, telemetry: Telemetry, before: Routing, after: Routing) -> None:
        """A tick is over, and the next one is routed."""
        done, rows = telemetry.tick + 1, before.rows
        if self._metric is not None and self._places:
            counts = telemetry.counts[..., self._places].astype(np.float64)
            units = np.array([1.0, self._metric.grid, self._metric.grid**2])
            # A binary outcome is its own square.
            three = counts[..., [0, 1, 1]] if self._metric.binary else counts
            self._sums[rows] += three * units
        self._note(before)
        self._end(done, rows)
        self._enter(done, after)

    def _end(self, done: int, rows: Ints) -> None:
        """Verdicts of some replications that were undecided."""
        verdicts = self.policy.verdicts
        for row in rows[verdicts.verdict[rows] != Verdict.UNDECIDED].tolist():
            verdict, arm = Verdict(int(verdicts.verdict[row])), self.truth.world.arms[int(verdicts.arm[row])]
            said = {
                Verdict.SHIP: f"ships {arm}", Verdict.KEEP: f"keeps {arm}", Verdict.INCONCLUSIVE: f"gives up; {arm} serves on",
            }[verdict]  # fmt: skip
            self._say(row, done, f"{said}, {self._truly(row, done)}")

    def _enter(self, done: int, routing: Routing) -> None:
        """Stages that begin now."""
        for place, row in enumerate(routing.rows.tolist()):
            if routing.cohort[place] == self._cohort[row]:
                continue
            self._cohort[row] = routing.cohort[place]
            self._sums[row] = 0.0
            shares = [
                f"{share:.3g}% {verb} {arm}"
                for weights, verb in ((routing.live[place], "of live traffic to"), (routing.mirror[place], "copied to"))
                for arm, share in zip(self.truth.world.arms[1:], 100 * weights[1:], strict=True)
                if share > 0
            ]
            name = self.policy.stage_of(row)
            what = f"stage {name} begins" if len(self.policy.stages) > 1 and name else "begins"
            self._say(row, done, f"{what}, with {', '.join(shares) or 'all traffic to the champion'}")

    def _note(self, routing: Routing) -> None:
        self._live[routing.rows] = routing.live
        self.share.append(self._live.copy())
        self.moments.append(self._sums.copy())

    def _truly(self, row: int, done: int) -> str:
        """What is true of the challengers from a verdict on."""
        since = np.full(self.truth.rows, done)
        rest = self.truth.worths.after(since)
        arms = self.truth.world.arms
        right = rest.better[row]
        good = [name for name, is_right in zip(arms, right, strict=True) if is_right]
        if rest.not_worse is not None:
            return f"where {' and '.join(good)} would do no harm" if good else "where no challenger is fit to be shipped"
        return f"where {' and '.join(good)} is truly better" if good else "where no challenger is truly better"

    def _say(self, row: int, done: int, text: str) -> None:
        self.events[row].append(Event(at_s=done * self.truth.world.tick_s, text=text))

    def story(self, policy: str, pick: Pick, row: int) -> Story:
        """The story of a replication, the `row` of those that were played."""
        world, verdicts = self.truth.world, self.policy.verdicts
        ended = verdicts.verdict[row] != Verdict.UNDECIDED
        end = max(int(verdicts.decided_tick[row]) if ended else world.ticks, 1)
        at = sample_ticks(end, _SAMPLES)
        # Nothing is noted after the last verdict.
        noted = np.minimum(at, len(self.share) - 1)
        share = np.stack([self.share[done][row] for done in noted])
        seen, error = self._effects(np.stack([self.moments[done][row] for done in noted]))
        true = np.stack([_relative(self.truth.worths.at(min(int(done), world.ticks - 1)).value[row]) for done in at])
        overall = _relative(self.truth.worths.overall.value[row])
        best = int(np.argmax(self.truth.worths.overall.value[row, world.challengers])) + 1
        arm = int(verdicts.arm[row]) or best
        events = list(self.events[row])
        if not ended:
            left = f"is still undecided at the horizon, {self._truly(row, world.ticks)}"
            events.append(Event(at_s=world.ticks * world.tick_s, text=left))
        paths = tuple(
            ArmStory(
                arm=name, share=_plain(share[:, place]), seen=_plain(seen[:, place]), error=_plain(error[:, place]),
                true=_plain(true[:, place]),
            )
            for place, name in enumerate(world.arms)
            if place
        )  # fmt: skip
        return Story(
            policy=policy, which=pick.which, replication=pick.replication, measure=pick.measure, value=pick.value,
            verdict=Verdict(int(verdicts.verdict[row])).name.lower(), end_s=end * world.tick_s,
            effect=_plain(overall[arm : arm + 1])[0], time_s=tuple((at * world.tick_s).tolist()), arms=paths,
            events=tuple(events),
        )  # fmt: skip

    def _effects(self, moments: Floats) -> tuple[Floats, Floats]:
        """(T, K) each: the relative effect that is seen of every arm, and its standard error."""
        effect, error = np.full((2, *moments.shape[:2]), np.nan)
        if self._metric is None or not self._places:
            return effect, error
        n, total, square = (moments[..., place] for place in range(3))
        for arm in range(1, moments.shape[1]):
            some = (n[:, 0] > 1) & (n[:, arm] > 1) & (total[:, 0] != 0)
            if some.any():
                n0, total0, square0 = n[some, 0], total[some, 0], square[some, 0]
                n1, total1, square1 = n[some, arm], total[some, arm], square[some, arm]
                found = two_sample(
                    "z_unpooled" if self._metric.binary else "welch", n0, total0, square0, n1, total1, square1, scale="relative"
                )
                effect[some, arm], error[some, arm] = self._metric.sign * found.effect, found.standard_error
        return effect, error


def _name(part: Evidence | Guardrail) -> str:
    """What a part is called in an event: a check by what it looks at."""
    if isinstance(part, Evidence):
        return f"the rule {part.kind}"
    metrics = " and ".join(dict.fromkeys(metric for _, metric in part.reads()))
    return f"the check of {metrics}" if metrics else f"the check {part.kind}"


def _relative(value: Floats) -> Floats:
    """(K,) worth relative to the champion's, NaN where that is 0."""
    champion = value[0]
    return (value - champion) / abs(champion) if champion else np.full(value.shape, np.nan)


def _plain(values: Floats) -> tuple[float | None, ...]:
    return tuple(float(f"{value:.6g}") if np.isfinite(value) else None for value in values.tolist())
