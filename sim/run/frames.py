"""The tables of a run folder, made from plays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.arrays import Floats
from sim.policy.base import Verdict
from sim.run.blocks import Which
from sim.run.plan import Plan
from sim.run.timeline import PERCENTS
from sim.run.trial import Play

if TYPE_CHECKING:
    import pandas as pd

Labels = Mapping[str, Any]
"""The columns before the policy in every row of a table: the point and its values; empty without a sweep."""

Tables = tuple["pd.DataFrame", "pd.DataFrame"]
"""The trials and the timeline."""

_VERDICTS = np.array([verdict.name.lower() for verdict in Verdict])


def tables(plan: Plan, which: Which, plays: Sequence[Play]) -> Tables:
    """The trials and the timeline of a policy at a point; `plays` must be in the order of replications."""
    point, policy = which
    scenario, labels = plan.points[point].scenario, plan.labels(point)
    return trials(policy, plays, scenario.arms, labels), timeline(policy, plays, scenario.arms, scenario.tick, labels)


def varied(plan: Plan, which: Which, plays: Sequence[Play]) -> pd.DataFrame:
    """The trials of a policy in another world of a plan; `plays` must be in the order of replications."""
    number, policy = which
    return trials(policy, plays, plan.scenario.arms, {"variant": number - len(plan.points)})


def joined(tables: Iterable[Tables]) -> Tables:
    """The tables of several policies, one below the other."""
    import pandas as pd

    all_trials, timelines = zip(*tables, strict=True)
    return pd.concat(all_trials, ignore_index=True), pd.concat(timelines, ignore_index=True)


def trials(policy: str, plays: Sequence[Play], arms: Sequence[str], labels: Labels) -> pd.DataFrame:
    """The trials of one policy, one row per replication; `plays` must be in the order of replications."""
    import pandas as pd

    columns: dict[str, Any] = {name: np.concatenate([play.columns[name] for play in plays]) for name in plays[0].columns}
    names = np.array([*arms, None], dtype=object)
    columns["verdict"] = _VERDICTS[columns["verdict"]]
    columns["shipped_arm"] = names[columns["shipped_arm"]]
    columns["best_arm"] = names[columns["best_arm"]]
    columns["offline_arm"] = names[columns["offline_arm"]]
    return pd.DataFrame({**labels, "policy": policy, **columns})


def timeline(policy: str, plays: Sequence[Play], arms: Sequence[str], tick_s: float, labels: Labels) -> pd.DataFrame:
    """The timeline of one policy, one row per sampled tick: means and quantiles over its replications."""
    import pandas as pd

    ticks = plays[0].ticks
    decided = np.concatenate([play.decided for play in plays])[:, None]
    verdict = np.concatenate([play.verdict for play in plays])[:, None]
    done = (decided >= 0) & (decided <= ticks)
    columns: dict[str, Any] = {
        **labels,
        "policy": policy,
        "tick": ticks,
        "time_s": ticks * tick_s,
        "decided": (done & (verdict != Verdict.INCONCLUSIVE)).mean(axis=0),
        "shipped": (done & (verdict == Verdict.SHIP)).mean(axis=0),
        "kept": (done & (verdict == Verdict.KEEP)).mean(axis=0),
        "inconclusive": (done & (verdict == Verdict.INCONCLUSIVE)).mean(axis=0),
    }
    regret = np.concatenate([play.regret for play in plays])
    columns["regret_mean"] = regret.mean(axis=0)
    columns |= {f"regret_{level}": values for level, values in _quantiles(regret)}
    live = np.concatenate([play.live for play in plays])
    mirror = np.concatenate([play.mirror for play in plays])
    for place, arm in enumerate(arms):
        columns[f"weight.{arm}.mean"] = live[..., place].mean(axis=0)
        columns |= {f"weight.{arm}.{level}": values for level, values in _quantiles(live[..., place])}
        columns[f"mirror.{arm}.mean"] = mirror[..., place].mean(axis=0)
    return pd.DataFrame(columns)


def _quantiles(values: Floats) -> Iterator[tuple[str, Floats]]:
    """The name and the values (T,) of each quantile over replications of values (R, T)."""
    levels = np.quantile(values, [percent / 100 for percent in PERCENTS], axis=0)
    return zip((f"q{percent:02d}" for percent in PERCENTS), levels, strict=True)
