"""What a job is given: arguments that can be used, a scenario whose files are checked, and where its versions come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import InputError, Problem
from sim.tracking.limits import LONGEST_S
from sim.units import shown

if TYPE_CHECKING:
    from sim.registry.memory import Models
    from sim.registry.store import Client
    from sim.run.plan import Resolver, Settle
    from sim.run.unplayed import Files
    from sim.scenario.loading import Document
    from sim.scenario.schema import Scenario


def check_arguments(**given: Any) -> None:
    """Raise `InputError` with every argument that cannot be used, by its name; None is as left out.

    >>> check_arguments(workers=2, samples=1, tracking_uri="")
    Traceback (most recent call last):
    sim.errors.InputError: samples: must be a whole number of at least 2, or None; got 1
    tracking_uri: must be the URI of a server or a store, or None; got ''
    """
    least = {"workers": 1, "samples": 2}
    problems = []
    for name, value in given.items():
        if name == "parts":
            files = not isinstance(value, str | bytes | Mapping) and isinstance(value, Iterable)
            if not files or not all(isinstance(file, str | Path) for file in value):
                problems.append(Problem(f"must be a list of Python files; got {shown(value)}", name))
        elif value is None:
            continue
        elif name in least:
            if not isinstance(value, int) or isinstance(value, bool) or value < least[name]:
                problems.append(Problem(f"must be a whole number of at least {least[name]}, or None; got {shown(value)}", name))
        elif name == "timeout_s":
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= LONGEST_S:
                problems.append(Problem(f"must be seconds, above 0 and at most {LONGEST_S:g}; got {shown(value)}", name))
        elif name == "baseline":
            if not isinstance(value, str):
                problems.append(Problem(f"must be the name of a policy, or None; got {shown(value)}", name))
        elif not isinstance(value, str) or not value.strip():
            problems.append(Problem(f"must be the URI of a server or a store, or None; got {shown(value)}", name))
    if problems:
        raise InputError(problems)


def later_problems(scenario: Scenario) -> list[Problem]:
    """The problems by the rules of later layers."""
    from sim.engine.catalogue import engine_problems
    from sim.registry.versions import misspelt

    later_problems = [*misspelt(model.uri for model in scenario.models), *engine_problems(scenario)]
    if scenario.thresholds or scenario.require:
        from sim.compare.rules import problems

        names = [policy.name for policy in scenario.policies]
        later_problems += problems(scenario.thresholds, names)
        later_problems += problems(scenario.require, names, "require")
    if scenario.search is not None and scenario.search.frontier:
        from sim.compare.frontier import frontier_problems

        later_problems += frontier_problems(scenario.search.frontier)
    if scenario.enough is not None:
        from sim.compare import enough

        names = [policy.name for policy in scenario.policies]
        later_problems += enough.problems(scenario.enough, scenario.replications, names)
    return later_problems


def with_files() -> Callable[[Scenario, Path], list[Problem]]:
    """A function that finds problems by the rules of later layers and in the files of a scenario. Reads each file once."""
    from sim.run.unplayed import Files

    folders: dict[Path, Files] = {}

    def problems(scenario: Scenario, folder: Path) -> list[Problem]:
        files = folders.setdefault(folder, Files(folder))
        return [*later_problems(scenario), *files.problems(scenario)]

    return problems


def settling(workers: int | None, cache: str | Path | None, told: Callable[[str], None] | None = None) -> Settle:
    """What finds the numbers that are to be calibrated; what it plays is kept beside the folder of predictions."""
    from sim.calibration import calibrate

    kept = None if cache is None else Path(cache).parent / calibrate.FOLDER
    return partial(calibrate.settle, workers=workers, kept=kept, say=told)


def resolver_of(
    scenario: Scenario, document: Document, models: Models | None, tracking_uri: str | None, registry_uri: str | None,
    cache: str | Path | None,
) -> Resolver:  # fmt: skip
    """The resolver of a scenario's versions: from models in memory if given, else from a registry."""
    from sim.run.plan import in_memory

    if models is not None:
        return in_memory(models)
    check_registry(tracking_uri, registry_uri, scenario, document)
    return registry_resolver(tracking_uri, registry_uri, cache)


def registry_resolver(tracking_uri: str | None, registry_uri: str | None, cache: str | Path | None) -> Resolver:
    """The resolver of versions in a registry that exists."""
    from sim.registry.store import registry
    from sim.run.plan import from_registry

    # Only the registry is read here: the tracking server need not be up before there are results.
    return from_registry(registry(tracking_uri, registry_uri), None if cache is None else Path(cache))


def registry_of(tracking_uri: str | None, registry_uri: str | None, scenario: Scenario, document: Document) -> Client:
    """A client of the registry. Raises `InputError` if the registry does not exist yet, and does not create it."""
    from sim.registry.store import registry

    check_registry(tracking_uri, registry_uri, scenario, document)
    return registry(tracking_uri, registry_uri)


def check_registry(tracking_uri: str | None, registry_uri: str | None, scenario: Scenario, document: Document) -> None:
    """Raise `InputError` if the registry does not exist yet."""
    from sim.registry.store import absent
    from sim.registry.versions import unregistered

    if absent(tracking_uri, registry_uri):
        raise InputError(document.place(problem) for problem in unregistered(model.uri for model in scenario.models))
