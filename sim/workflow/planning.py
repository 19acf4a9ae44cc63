"""A scenario file in: checked, and planned with the versions, world and engine that play it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sim.given import (
    check_arguments,
    check_registry,
    later_problems,
    registry_of,
    registry_resolver,
    resolver_of,
    settling,
    with_files,
)

if TYPE_CHECKING:
    from sim.registry.memory import Models
    from sim.run.plan import Plan, Resolver
    from sim.run.unplayed import Seen
    from sim.scenario.loading import Document
    from sim.scenario.put import Change
    from sim.scenario.reading import Source
    from sim.scenario.schema import Scenario
    from sim.tracking.child import Child


def load_scenario(path: Source, *, parts: Sequence[str | Path] = ()) -> Scenario:
    """Read and check a scenario: a file, its text or a mapping. Does not read the registry or the files that it names.

    `parts` are Python files whose parts the scenario may use (docs/extending.md); their code runs.
    Raises `sim.errors.InputError` with every problem, each at its file:line:column.
    """
    from sim.policy.catalogue import using
    from sim.scenario.reading import read

    check_arguments(parts=parts)
    with using(parts):
        return read(path, lambda scenario, folder: later_problems(scenario))[0]


def check_scenario(
    path: Source,
    *,
    resolve: bool = False,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    parts: Sequence[str | Path] = (),
    changes: Sequence[Change] = (),
) -> tuple[Scenario, Seen]:
    """Read and check a scenario and the files that it names, without playing it. With `resolve`, check its models too.

    `changes` are other values than those of the file.

    No model's code runs, so predictions of real versions are not checked. The code of `parts` runs. Raises `InputError` with
    every problem, each at its line, and `TrackingError` if the registry cannot be read.
    """
    from sim.policy.catalogue import using
    from sim.run.unplayed import doubted, look
    from sim.scenario.reading import read

    check_arguments(parts=parts, tracking_uri=tracking_uri, registry_uri=registry_uri)
    with using(parts):
        scenario, document = read(path, with_files(), changes)
        if not resolve:
            return scenario, doubted(scenario, document)
        return scenario, look(scenario, document, registry_of(tracking_uri, registry_uri, scenario, document))


def plan_scenario(
    scenario: Source,
    models: Models | None = None,
    *,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    cache: str | Path | None = None,
    parts: Sequence[str | Path] = (),
    changes: Sequence[Change] = (),
    workers: int | None = 1,
    told: Callable[[str], None] | None = None,
) -> Plan:
    """The versions, world and engine that a scenario is played with, at each point of its sweep.

    `scenario` is a file, its text or a mapping; it is checked as by `sim check`. `models` are behaviours in memory, as
    `sim.registry.memory.Models` describes; without `models`, versions come from the registry. Real versions are loaded from the
    registry, which runs their code: only if it is named, here or by the environment, or is the mlflow.db of this folder and was
    made by this user's own `sim`. `cache` is a folder for their predictions. `parts` are Python files whose parts the
    scenario may use (docs/extending.md); their code runs. `changes` are other values than those of the scenario.

    Numbers that are to be calibrated are found here, by playing, on so many `workers` (None as the work is worth), with lines
    about it to `told`; what was played is kept in a folder beside `cache`. Raises `InputError`, and `TrackingError` if the
    registry cannot be read.
    """
    check_arguments(parts=parts, workers=workers, tracking_uri=tracking_uri, registry_uri=registry_uri)

    def resolver(asked: Scenario, document: Document) -> Resolver:
        return resolver_of(asked, document, models, tracking_uri, registry_uri, cache)

    return plan_of(scenario, resolver, cache, parts=parts, changes=changes, workers=workers, told=told)


def plan_of(
    scenario: Source, resolver: Callable[[Scenario, Document], Resolver], cache: str | Path | None, *,
    parts: Sequence[str | Path], changes: Sequence[Change], workers: int | None, told: Callable[[str], None] | None,
) -> Plan:  # fmt: skip
    """The plan of a scenario, as `plan_scenario` describes. `resolver` is asked once the scenario has passed its checks."""
    from sim.policy.catalogue import using
    from sim.run.plan import once, prepare
    from sim.run.varying import with_variants
    from sim.scenario.reading import read

    with using(parts):
        asked, document = read(scenario, with_files(), changes)
        found = once(resolver(asked, document))
        return with_variants(prepare(asked, document, found, settling(workers, cache, told)), document, found)


def resolver_through(
    child: Child | None, asked: Scenario, document: Document, models: Models | None, tracking_uri: str | None,
    registry_uri: str | None, cache: Path, meanwhile: Sequence[str],
) -> Resolver:  # fmt: skip
    """The resolver of a scenario's versions: with a `child`, that of `lookup.through`."""
    from sim.tracking.lookup import through

    if child is None:
        return resolver_of(asked, document, models, tracking_uri, registry_uri, cache)
    check_registry(tracking_uri, registry_uri, asked, document)
    return through(child, partial(registry_resolver, tracking_uri, registry_uri, cache), tracking_uri, registry_uri, meanwhile)
