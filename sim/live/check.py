"""`sim serve-check`: a scenario's policy in real time on real servers of this machine, held against what is simulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Floats, Ints
from sim.engine.catalogue import make
from sim.errors import InputError, Problem
from sim.given import check_arguments, registry_of, with_files
from sim.live import alone, playable
from sim.live.alone import Alone, ask_alone, together
from sim.live.answers import Answers
from sim.live.compared import Compared, compared, decided_alike, like, replications
from sim.live.crew import Crew
from sim.live.engine import LiveEngine
from sim.live.predict import Predicted, predict, with_errors
from sim.live.router import Router, Traffic
from sim.live.watched import Watch, Watched
from sim.policy.base import Verdict
from sim.policy.machine import StagedPolicy, Verdicts
from sim.run.plan import PlannedPoint, Resolved, from_registry, in_file, plan_point
from sim.run.trial import rounds
from sim.scenario.loading import Document
from sim.scenario.put import Change
from sim.scenario.reading import Source
from sim.scenario.schema import Scenario
from sim.units import format_duration
from sim.world.potential import Potential
from sim.world.world import World

if TYPE_CHECKING:
    from sim.registry.data import Data
    from sim.registry.store import Client
    from sim.scenario.schema import Reward

CALLS = 10 * alone.BLOCKS
MOST_CALLS = 6000

Note = Callable[[str], None]


@dataclass(frozen=True)
class Arm:
    """An arm as it was measured alone: calls, those that failed, seconds at `levels`, and the sd of the machine's speed.

    `used` is how much of the time a server that answers one call at a time would have been in use in the rehearsal.
    """

    arm: str
    uri: str
    calls: int
    failed: int
    levels: tuple[float, ...]
    values_s: tuple[float, ...]
    speed_sd: float
    mean_s: float
    used: float


@dataclass(frozen=True)
class Checked:
    """What a live rehearsal showed.

    `verdict` and `verdict_share` are how it ended and how often replications end so; `lasted_s` is how long it took, of
    `horizon_s`. `unlike` of `read` answers differ from those of a replay; `late_s` is the longest that a request was late.
    """

    scenario: str
    policy: str
    horizon_s: float
    tick_s: float
    rate_per_s: float
    lasted_s: float
    arms: tuple[Arm, ...]
    compared: tuple[Compared, ...]
    verdict: str
    verdict_share: float
    verdict_agrees: bool
    replications: int
    unlike: int
    read: int
    late_s: float

    @property
    def comparisons(self) -> int:
        """How many quantities share the error: what is compared, and the verdict."""
        return len(self.compared) + 1

    @property
    def agrees(self) -> bool:
        """Whether everything is as simulated, within error, and all answers are those of a replay."""
        return all(each.agrees for each in self.compared) and self.verdict_agrees and self.unlike == 0


@dataclass(frozen=True, eq=False)
class Live:
    """What happened: totals (1, K, C) of the watched columns, the verdict, how long it took, and the latest request."""

    totals: Ints
    verdicts: Verdicts
    lasted_s: float
    late_s: float


def serve_check(
    path: Source, policy: str, *, minutes: float = 2.0, tick: str | None = None, rate: str | None = None, calls: int = CALLS,
    tracking_uri: str | None = None, registry_uri: str | None = None, parts: Sequence[str | Path] = (),
    changes: Sequence[Change] = (), note: Note = lambda said: None,
) -> Checked:  # fmt: skip
    """Play a policy of a scenario in real time for some minutes, and compare it with its simulation.

    Every arm's version is started behind MLflow's REST server on loopback, **which runs its code**; a router sends it the
    scenario's requests, rows of its data at the times of one replication. `tick` and `rate` replace those of the scenario.
    Before and after, `calls` calls of each arm, one after another, show what its server takes alone. The simulation takes that,
    and nothing else of what was seen. Servers, router and threads are ended in any case. Raises `InputError` for what cannot be
    played live, and `TrackingError` if the registry cannot be read.
    """
    from sim.policy.catalogue import using
    from sim.scenario.reading import read

    check_arguments(parts=parts, tracking_uri=tracking_uri, registry_uri=registry_uri)
    _check_numbers(minutes, calls)
    with using(parts):
        # Options come last, and a problem that they make is told at them.
        own = [*changes, *playable.changes(minutes, tick, rate)]
        scenario, document = read(path, _checks(policy), own)
        store = registry_of(tracking_uri, registry_uri, scenario, document)
        point, resolved = _planned(scenario, document, store)
        return _Rehearsal(point, resolved, policy, store, calls, note).play()


def _check_numbers(minutes: float, calls: int) -> None:
    found = []
    if not 0 < minutes <= playable.LONGEST_MINUTES:
        found.append(Problem(f"must be above 0 and at most {playable.LONGEST_MINUTES:g}; got {minutes:g}", path="--minutes"))
    if not alone.LEAST <= calls <= MOST_CALLS or calls % alone.BLOCKS:
        rule = f"must be a multiple of {alone.BLOCKS} from {alone.LEAST} to {MOST_CALLS:,}"
        found.append(Problem(f"{rule}; got {calls}", path="--calls"))
    if found:
        raise InputError(found)


def _checks(policy: str) -> Callable[[Scenario, Path], list[Problem]]:
    files = with_files()

    def problems(scenario: Scenario, folder: Path) -> list[Problem]:
        return [*playable.problems(scenario, policy), *files(scenario, folder)]

    return problems


def _planned(scenario: Scenario, document: Document, store: Client) -> tuple[PlannedPoint, Resolved]:
    """The scenario with its real versions, replayed on the rows of the data as they are."""
    base = Path(document.path).resolve().parent
    if scenario.data is not None:
        scenario = scenario.model_copy(update={"data": scenario.data.model_copy(update={"population": "rows"})})
    try:
        # Before anything is loaded.
        behaviour = list(_behaviours(scenario, store))
        if behaviour:
            raise InputError(behaviour)
        resolved = from_registry(store, None, unmeasured=True)(scenario, base)
        return plan_point(scenario, resolved, base), resolved
    except InputError as error:
        raise InputError(document.place(in_file(problem, scenario)) for problem in error.problems) from error


def _behaviours(scenario: Scenario, store: Client) -> Iterator[Problem]:
    from sim.registry.versions import resolve

    versions = resolve([(model.arm, model.uri) for model in scenario.models], store, unmeasured=True)
    for at, each in enumerate(versions):
        if each.kind == "behaviour":
            rule = (
                f"{each.pinned} is a behaviour model, of which there is nothing to serve: a live rehearsal needs real versions"
            )
            yield Problem(rule, f"models[{at}].uri")


class _Rehearsal:
    """One live rehearsal of a planned scenario, from servers to comparison."""

    def __init__(
        self, point: PlannedPoint, resolved: Resolved, policy: str, store: Client, calls: int, note: Note
    ) -> None:  # fmt: skip
        assert resolved.data is not None
        assert resolved.table is not None
        self._point, self._store, self._calls, self._note = point, store, calls, note
        self._data, self._table = resolved.data, resolved.table
        self._policy = policy
        self._agent: Callable[[], StagedPolicy] = partial(point.policy, policy)
        wrong = list(playable.unplayed(point.world, point.forms[policy], self._agent()))
        if wrong:
            raise InputError(wrong)
        self._mirrors = self._agent().mirrors()
        self._levels = alone.levels_of(calls)
        # The quantities do not depend on where latencies are told apart.
        self._comparisons = len(self._watch(point.world, 0.5, 1.0).quantities) + 1

    def play(self) -> Checked:
        """Serve, measure, play, measure again; then simulate, and compare."""
        point, data = self._point, self._data
        # A replication that is not among those that are simulated.
        simulated = replications(self._comparisons)
        traffic, chance = _traffic(point.world, simulated, data)
        grids = {outcome.spec.name: outcome.grid for outcome in point.world.outcomes}
        answers = Answers(point.versions, data, self._table, self._rewards, grids, chance)
        measured, watch, live = self._live(traffic, answers)
        world = with_errors(point.world, measured)
        self._note(f"simulating {simulated:,} rehearsals, twice: of servers that answer one call at a time, and any number")
        models = [
            predict(world, self._agent, watch, make(point.engine.name), measured, simulated, one_at_a_time)
            for one_at_a_time in (True, False)
        ]
        return self._checked(measured, watch, live, models, answers, simulated)

    @property
    def _rewards(self) -> dict[str, Reward]:
        return {metric.name: metric.reward for metric in self._point.scenario.metrics if metric.reward is not None}

    def _watch(self, world: World, least_s: float, most_s: float) -> Watch:
        return Watch(world, self._mirrors, self._levels, least_s, most_s)

    def _live(self, traffic: Traffic, answers: Answers) -> tuple[tuple[Alone, ...], Watch, Live]:
        """What the servers take alone, and what happened in the rehearsal. All that is started has ended when this returns."""
        from sim.registry import trust
        from sim.registry.rewards import reward_columns
        from sim.registry.store import reaching
        from sim.registry.versions import artifacts
        from sim.serving.calls import probe
        from sim.serving.rows import bodies
        from sim.serving.server import Server

        versions, world, store = self._point.versions, self._point.world, self._store
        used = reward_columns(self._rewards, self._data)
        rows = [bodies(version, self._data, store, rewards=used, most=None) for version in versions]
        gap_s = world.horizon_s / max(float(world.requests.sum()), 1.0)
        with ExitStack() as stack:
            crew = stack.enter_context(Crew())
            servers = []
            for version, own in zip(versions, rows, strict=True):
                trust.check(store, "models", f"{version.pinned} is a real model")
                with reaching(store):
                    model = artifacts(version, store)
                self._note(f"starting MLflow's server of {version.arm} ({version.pinned})")
                servers.append(stack.enter_context(Server(model)))
                self._note(f"it answers on port {servers[-1].port}")
                probe(servers[-1], own[0])
            router = stack.enter_context(Router(servers, rows, traffic, crew))

            def asked(seed: int) -> tuple[Alone, ...]:
                return ask_alone(router, len(servers), traffic.row.tolist(), self._calls, gap_s, seed)

            self._note(f"{self._calls // 2} calls of each arm, one after another")
            before = asked(world.seed)
            least_s, most_s = min(each.took_s[0] for each in before), max(each.took_s[-1] for each in before)
            watch = self._watch(world, least_s / 5, 20 * most_s)
            count, lasts = traffic.row.size, format_duration(world.horizon_s)
            self._note(f"{count:,} requests in {lasts}, in real time")
            live = self._played(with_errors(world, before), watch, router, traffic, answers, crew)
            self._note(f"{self._calls - self._calls // 2} calls of each arm, one after another")
            after = asked(world.seed + 1)
        return together(before, after), watch, live

    def _played(
        self, world: World, watch: Watch, router: Router, traffic: Traffic, answers: Answers, crew: Crew
    ) -> Live:  # fmt: skip
        policy, setting = self._agent(), world.setting(1, np.array([traffic.replication]))
        needs = policy.needs(setting)
        columns = tuple(dict.fromkeys((*needs, *watch.columns)))
        engine = LiveEngine(world, columns, router, traffic, answers, crew)
        watched = Watched(engine, needs, watch.columns, (1, len(world.arms)))
        try:
            for _ in rounds(policy, setting, watched, world.ticks, {}):
                pass
        finally:
            engine.stop()
        router.quiet()
        return Live(watched.totals, policy.verdicts, engine.tick * world.tick_s, engine.late_s)

    def _checked(
        self, measured: Sequence[Alone], watch: Watch, live: Live, models: Sequence[Predicted], answers: Answers, simulated: int
    ) -> Checked:  # fmt: skip
        scenario, world = self._point.scenario, self._point.world
        verdict, arm = int(live.verdicts.verdict[0]), int(live.verdicts.arm[0])
        share, alike = decided_alike(verdict, arm, [(model.verdict, model.arm) for model in models])
        # Where the verdict differs, what led to it is told beside all of them: that there is a difference is settled.
        totals = [
            model.totals[like(verdict, arm, model.verdict, model.arm)] if alike else model.totals for model in models
        ]  # fmt: skip
        found = tuple(
            compared(
                (each.what, each.arm, each.copies, each.unit), float(each.of(live.totals)[0]),
                [each.of(own) for own in totals], self._comparisons,
            )
            for each in watch.quantities
        )  # fmt: skip
        arms = tuple(
            Arm(
                version.arm, version.pinned, each.took_s.size, each.failed, self._levels,
                tuple(float(value) for value in np.quantile(each.took_s, self._levels)), each.speed_sd, each.mean_s,
                watch.calls(live.totals)[0, number] * each.mean_s / live.lasted_s,
            )
            for number, (version, each) in enumerate(zip(self._point.versions, measured, strict=True))
        )  # fmt: skip
        return Checked(
            scenario.name, self._policy, world.horizon_s, world.tick_s, float(world.requests.mean()) / world.tick_s,
            live.lasted_s, arms, found, _said(Verdict(verdict), world.arms[arm]), share, alike, simulated, answers.unlike,
            answers.read, live.late_s,
        )  # fmt: skip


def _said(verdict: Verdict, arm: str) -> str:
    return f"ship {arm}" if verdict == Verdict.SHIP else verdict.name.lower()


def _traffic(world: World, replication: int, data: Data) -> tuple[Traffic, Floats]:
    """The requests of one replication, with rows of the data; and (N,) uniforms for rewards that are chances."""
    truth = world.realise(np.array([replication]))
    potential = Potential(truth, (), True, False)
    drawn = [potential.draw(0, tick) for tick in range(world.ticks)]
    due_ns = np.concatenate([each.arrival_ns for each in drawn])
    route = np.concatenate([each.route for each in drawn])
    mirror = np.concatenate([each.mirror for each in drawn if each.mirror is not None])
    if not due_ns.size:
        raise InputError([Problem("gives no request in this time: raise it, by --rate, or play longer", path="traffic.rate")])
    draws = np.random.default_rng([world.seed, replication])
    shares = None if data.weights is None else data.weights / data.weights.sum()
    row = draws.choice(data.rows, due_ns.size, p=shares)
    return Traffic(due_ns, row, route, mirror, replication), draws.random(due_ns.size)
