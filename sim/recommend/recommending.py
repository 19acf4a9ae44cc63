"""From a scenario to a recommended policy: search, finals on fresh seeds, and the files that tell of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import InputError, Problem
from sim.given import check_arguments, resolver_of, settling, with_files
from sim.recommend.aims import aim_of
from sim.recommend.race import Race
from sim.recommend.searching import Searched, search
from sim.recommend.space import Policy, space_of
from sim.scenario.reading import read
from sim.scenario.search import Search

if TYPE_CHECKING:
    from sim.registry.memory import Models
    from sim.run.plan import Plan
    from sim.scenario.put import Change
    from sim.scenario.reading import Source

FOLDER = ".searches"
"""What a search has played, in the folder of reports."""


@dataclass(frozen=True)
class Recommending:
    """A search that is over. `scenario` is the finals as a file writes them: the scenario with finalists, on a fresh seed."""

    plan: Plan
    searched: Searched
    scenario: Mapping[str, Any]
    save_study: Callable[[Path], None]
    """Writes the proposals to an SQLite file of Optuna's, which `optuna-dashboard` shows."""


def recommend(
    source: Source,
    models: Models | None = None,
    *,
    reports: str | Path = "reports",
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    parts: Sequence[str | Path] = (),
    changes: Sequence[Change] = (),
    workers: int | None = None,
    told: Callable[[str], None] | None = None,
    watch: Callable[[], None] | None = None,
) -> Recommending:
    """Search for a policy for a scenario, as its `search` says; the finals are not played yet.

    The arguments are those of `plan_scenario`. `reports` keeps what was played, so that the same search goes on where it was
    interrupted. `told` is called with lines about the progress, `watch` after each candidate that was played. Raises
    `InputError` for a scenario with a sweep, and where no candidate may be fit.
    """
    from sim.policy.catalogue import using
    from sim.recommend.proposing import Proposals
    from sim.run.plan import once, prepare

    check_arguments(parts=parts, workers=workers, tracking_uri=tracking_uri, registry_uri=registry_uri)
    cache = Path(reports) / ".predictions"
    with using(parts):
        asked, document = read(source, with_files(), changes)
        if asked.sweep:
            raise InputError([document.place(Problem("a search is of one world: leave out the sweep", path="sweep"))])
        resolver = once(resolver_of(asked, document, models, tracking_uri, registry_uri, cache))
        plan = prepare(asked, document, resolver, settling(workers, cache, told))
        (point,) = plan.points
        base = plan.resolved()
        taken = [each["name"] for each in base["policies"]]
        wanted = asked.search or Search()
        space = space_of(asked, point.world.setting(1), float(point.world.requests.sum()))
        race = Race(base, resolver, workers, Path(reports) / FOLDER, watch)
        proposals = Proposals(_seed(asked.seed, "proposals"), directions=aim_of(wanted.frontier).directions)
        searched = search(race, space, wanted, taken, proposals, told)
    if not searched.finalists:
        raise InputError([_nobody(searched)])
    finals = _finals(document.data, base, searched.finalists, asked.seed)
    return Recommending(plan, searched, finals, proposals.save)


def _seed(seed: int, what: str) -> int:
    """A seed of its own, of the seed of the scenario."""
    return int.from_bytes(hashlib.sha256(f"{what} {seed}".encode()).digest()[:4], "big")


def _finals(written: Mapping[str, Any], base: Mapping[str, Any], finalists: Mapping[str, Policy], seed: int) -> dict[str, Any]:
    """The scenario as its file writes it, with the finalists beside its policies, and a seed that nothing was chosen by."""
    finals = {key: value for key, value in written.items() if key != "search"}
    for key in ("data", "traffic"):
        # Files are named by absolute paths: the new file lies elsewhere.
        if key in finals and key in base and _names_file(base[key]):
            finals[key] = base[key]
    added = [{"name": name, **policy} for name, policy in finalists.items()]
    return {**finals, "seed": _seed(seed, "finals"), "policies": [*written["policies"], *added]}


def _names_file(part: Mapping[str, Any]) -> bool:
    return "file" in part or "file" in part.get("trace", {})


def _nobody(searched: Searched) -> Problem:
    fates = [each.fate for each in searched.candidates]
    commonest = max(dict.fromkeys(fates), key=fates.count)
    count = len(fates)
    return Problem(
        f"none of {count} candidates may be fit; of {fates.count(commonest)}, the reason: {commonest}", path="search"
    )
