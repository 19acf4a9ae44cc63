"""What is told of a search: the finals as a scenario file, all candidates as a table, how far policies are from the best."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from sim.compare.result import Comparison
from sim.compare.wording import number
from sim.recommend.fresh import Frontier
from sim.recommend.recommending import Recommending
from sim.recommend.searching import Searched

COLUMNS = ("name", "family", "fate", "replications", "aim", "worth", "policy")
"""Of a search for a frontier, the measures stand in the place of `aim` and `worth`."""


def scenario_text(found: Recommending, fresh: Frontier | None = None) -> str:
    """The finals as a scenario file, with a head that says where they come from.

    `fresh` is their frontier once they were played, where one was searched for.
    """
    import yaml

    searched, name = found.searched, found.plan.scenario.name
    tried = len(searched.candidates)
    told = [
        f"Written by `sim recommend {name}`: the policies of the scenario, and the best that were found among {tried} "
        f"candidates ({', '.join(searched.finalists)}). The seed is not that of the search: no policy owes its place to luck."
    ]
    if fresh is not None:
        taken = "The memo takes none" if fresh.taken is None else f"Of all that are fit, the memo takes {fresh.taken}"
        told += [
            f"On the frontier of {' and '.join(fresh.measures)}, of this seed: {', '.join(fresh.names) or 'none'}.",
            f"{taken}, under what is required.",
        ]
    # Names are not broken: they are to be found again.
    lines = [line for text in told for line in textwrap.wrap(text, 98, break_long_words=False, break_on_hyphens=False)]
    head = "".join(f"# {line}\n" for line in lines)
    return head + str(yaml.safe_dump(dict(found.scenario), sort_keys=False, allow_unicode=True, width=100))


def candidates_csv(searched: Searched) -> str:
    """All candidates, in the order in which they were proposed: what each is, and what became of it.

    `worth` is the mean of the measure `aim` over so many replications, and is empty where there is none; regret has a minus, so
    that more is better. Of a frontier each measure has a column of its own, in its own unit. They are of the seeds of the
    search: of the best they are too good, as they are the best by luck, too.
    """
    import json

    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    names = searched.measures
    lines.writerow([*COLUMNS[:4], *names, *COLUMNS[6:]] if searched.frontier else COLUMNS)
    for each in searched.candidates:
        worth = [""] * len(names) if each.worth is None else [repr(value) for value in each.worth]
        family = each.name.rpartition("-")[0]
        known = worth if searched.frontier else [*names, *worth]
        lines.writerow([each.name, family, each.fate, each.replications, *known, json.dumps(each.policy)])
    return text.getvalue()


def distances(comparison: Comparison) -> Iterator[str]:
    """A line a policy: how much of what the best choice could give it reaches, of fresh seeds.

    The bound is that of one who knows what is true: who ships the best acceptable arm at once, or keeps the champion.
    """
    for point in comparison.points:
        best = max((_bound(each.measures) for each in point.policies), key=lambda bound: bound or 0.0, default=None)
        if not best:
            continue
        yield f"A choice that knows what is true would give {number(best, 'count')}. Of that, policies reach by their mean:"
        known = [(each.policy, each.measures["net_value"].estimate) for each in point.policies]
        for name, value in sorted(known, key=lambda each: -(each[1] or 0.0)):
            if value is not None:
                yield f"  {name}: {value / best:.0%} ({number(value, 'count')})"


def _bound(measures: Mapping[str, Any]) -> float | None:
    value, lost = (measures[name].estimate if name in measures else None for name in ("net_value", "value_lost"))
    return None if value is None or lost is None else float(value + lost)
