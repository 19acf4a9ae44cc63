"""Figures of offline evaluation: how often scores on labelled rows alone ship what is worse."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from sim.policy.base import Verdict
from sim.verify.figure import Figure, played
from sim.verify.rehearsal import converts, rehearse, scenario_of, share, some

PAIRED = "McNemar (1947): of the rows that only one of two models has right, the binomial share of each"
FOLDS = "Nadeau & Bengio (2003), Machine Learning 52: the variance of k-fold with the correlation 1/k"
ROWS, RIGHT, LESS = 2000, 0.90, 0.89
# A gap between offline and online that makes up for what the challenger is worse by, and more.
HALF, WORSE, GAP_MEAN, GAP_SD = 0.50, 0.49, -0.03, 0.03


def figures() -> Iterator[Figure]:
    """All figures of this field."""
    for alike in (0.0, 0.8):
        yield played(
            f"offline.play-paired-{round(100 * alike)}",
            f"accuracies .90 and .89 on the same {ROWS:,} rows, {alike:.0%} of them as hard for both: P(the worse ships)",
            PAIRED, lambda alike=alike: _ships(ROWS, RIGHT, LESS, alike),
            lambda quick, alike=alike: share(_shipped(alike, quick), _ships(ROWS, RIGHT, LESS, alike)),
        )  # fmt: skip
    yield played(
        "offline.play-kfold", f"the same by 5-fold cross-validation of {ROWS:,} rows, none as hard for both", FOLDS,
        lambda: _ships(_by_folds(), RIGHT, LESS, 0.0),
        lambda quick: share(_shipped(0.0, quick, method="kfold", folds=5), _ships(_by_folds(), RIGHT, LESS, 0.0)),
    )  # fmt: skip
    yield played(
        "offline.play-gap", f"rates .50 and .49 online, a gap of −3% on average, sd 3%, {ROWS:,} rows: P(the worse ships)",
        f"{PAIRED}; over the gap by quadrature", _ships_by_gap,
        lambda quick: share(_shipped_by_gap(quick), _ships_by_gap()),
    )  # fmt: skip


def _by_folds() -> int:
    """How many rows a hold-out needs to vary as 5-fold cross-validation does."""
    return round(ROWS / (1 + 5 * (1 / 5) - 1 / 5))


def _ships(rows: int, champion: float, challenger: float, alike: float) -> float:
    """The chance that more of the rows are right for the challenger alone than for the champion alone."""
    from scipy.stats import binom

    alone = (1 - alike) * champion * (1 - challenger), (1 - alike) * challenger * (1 - champion)
    only_first = alone[0] + alike * max(champion - challenger, 0.0)
    only_second = alone[1] + alike * max(challenger - champion, 0.0)
    either = only_first + only_second
    unlike = np.arange(rows + 1)
    return float((binom.pmf(unlike, rows, either) * binom.sf(unlike // 2, unlike, only_second / either)).sum())


def _ships_by_gap() -> float:
    """The same where the challenger scores offline what it earns online over 1 + gap."""
    at, weight = np.polynomial.hermite_e.hermegauss(40)
    chances = [_ships(ROWS, HALF, WORSE / (1 + GAP_MEAN + GAP_SD * each), 0.0) for each in at]
    return float(np.dot(weight, chances) / math.sqrt(2 * math.pi))


def _play(name: str, rates: tuple[float, float], offline: dict[str, Any], quick: bool, **said: Any) -> Any:
    policy = {"name": "test", "kind": "offline", "rows": ROWS, **said}
    scenario = scenario_of(name, 2, some(20_000, quick), 1, 10, [policy], offline=offline)
    return rehearse(scenario, converts(*rates))["test"].verdict(Verdict.SHIP)


def _shipped(alike: float, quick: bool, **said: Any) -> Any:
    name = f"offline-{'-'.join(map(str, said.values())) or round(100 * alike)}"
    return _play(name, (RIGHT, LESS), {"similarity": alike}, quick, **said)


def _shipped_by_gap(quick: bool) -> Any:
    gap = {"normal": {"mean": GAP_MEAN, "sd": GAP_SD}}
    return _play("offline-gap", (HALF, WORSE), {"gap": gap}, quick)
