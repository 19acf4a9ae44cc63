"""What is true of a rollout under way: effects drawn from the scenario's priors, weighed by how likely the tallies are.

Each prior is drawn by its quantiles, so that the unknowns of an arm are a point of the unit cube, uniform a priori. Candidates
are spread over a box of the cube: at first the whole, then ever smaller ones around those that the tallies leave possible,
until enough of them count (adaptive importance sampling; Bugallo et al., IEEE Signal Processing Magazine 34(4), 2017). Arms are
apart: given the champion, which the scenario states, what is seen of one says nothing of another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.arrays import Floats, Ints
from sim.errors import InputError, Problem, format_path
from sim.forecast.likelihood import Likelihood
from sim.scenario.priors import Prior
from sim.units import format_effect
from sim.world.priors import quantiles
from sim.world.reach import Drawn
from sim.world.streams import at, keys, uniforms
from sim.world.world import World

CANDIDATES = 8192
_MOST_CANDIDATES = 2**18
_ROUNDS = 14
# Candidates whose likelihood is less than e^-12.5 of the largest, 5 standard deviations away, are left out of the next box, but
# for the best few, as no candidate of the first boxes need be near.
_DEEP, _BEST = 12.5, 16
LEAST_SIZE = 500.0
"""The least effective number of candidates that a forecast is made of."""
# The box is wider than the candidates that count by so much of their range, and by so many of their distances, at each end.
_MARGIN, _DISTANCES = 0.1, 1.5
# An effect so far out in its prior is a reason for doubt.
_SURPRISING = 1e-3


@dataclass(frozen=True)
class Unknown:
    """What is not known of an arm's metric: its prior, and whether it is of the gap between data and live traffic."""

    arm: int
    metric: str
    prior: Prior
    gap: bool = False


@dataclass(frozen=True)
class Believed:
    """A relative effect as believed after what was seen; `informed` is false where the tallies say nothing of it."""

    arm: str
    metric: str
    mean: float
    sd: float
    lower: float
    upper: float
    prior_mean: float
    prior_sd: float
    informed: bool


@dataclass(frozen=True)
class Posterior:
    """R draws of what is true: {(arm, metric): (R,)}, what is believed of each, and the least effective size of an arm."""

    drawn: Drawn
    believed: tuple[Believed, ...]
    size: float
    doubts: tuple[str, ...]


def unknowns(world: World) -> tuple[Unknown, ...]:
    """What varies from replication to replication in a world."""
    found = [Unknown(arm, name, prior) for arm, name, prior in world.effects]
    if world.gap is not None:
        found += [Unknown(arm, name, world.gap, True) for arm in range(1, len(world.arms)) for name in world.replayed]
    return tuple(found)


def posterior(world: World, likelihood: Likelihood, draws: int) -> Posterior:
    """R draws of the truth given what was seen. Raises `InputError` where it has no chance, or too few candidates count."""
    drawn: dict[tuple[int, str], Floats] = {}
    believed: list[Believed] = []
    doubts: list[str] = []
    size = np.inf
    for arm in dict.fromkeys(each.arm for each in unknowns(world)):
        own = tuple(each for each in unknowns(world) if each.arm == arm)
        u, weight = _explored(world, likelihood, arm, own, draws)
        size = min(size, _size(weight))
        effects = _effects(own, u)
        chosen = _resampled(world.seed, weight, draws, world.arms[arm])
        at_first = _effects(own, _spread_over(world, arm, own, 0, (np.zeros(len(own)), np.ones(len(own)))))
        for metric, values in effects.items():
            drawn[arm, metric] = values[chosen]
            informed = likelihood.informs(arm, metric)
            believed.append(_believed(world.arms[arm], metric, values, weight, at_first[metric], informed))
        doubts += _surprises(world.arms[arm], own, u, weight)
    return Posterior(drawn, tuple(believed), float(size), tuple(doubts))


def _effects(own: tuple[Unknown, ...], u: Floats) -> dict[str, Floats]:
    """{metric: (N,)} the relative effects at points u (N, D) of the unit cube."""
    found: dict[str, Floats] = {}
    for place, each in enumerate(own):
        values = quantiles(each.prior, u[:, place])
        before = found.get(each.metric)
        # As `World.draw` does: what live differs by from the data, on top of the effect.
        found[each.metric] = values if before is None else (1 + before) * (1 + values) - 1
    return found


def _spread_over(
    world: World, arm: int, own: tuple[Unknown, ...], turn: int, box: tuple[Floats, Floats], candidates: int = CANDIDATES
) -> Floats:  # fmt: skip
    """(N, D) points, uniform in a box: a stratum of each unknown a candidate, in an order of its own (a Latin hypercube)."""
    number = np.arange(candidates)
    found = np.zeros((candidates, len(own)))
    low, high = box
    for place, each in enumerate(own):
        stream = f"forecast.{world.arms[arm]}.{each.metric}{'.gap' if each.gap else ''}"
        key = at(keys(world.seed, number, stream), turn + 1)
        order = np.argsort(uniforms(at(key, 1)), kind="stable")
        within = (order + uniforms(at(key, 2))) / candidates
        found[:, place] = low[place] + (high[place] - low[place]) * within
    return np.clip(found, 2.0**-54, 1 - 2.0**-53)


def _explored(
    world: World, likelihood: Likelihood, arm: int, own: tuple[Unknown, ...], draws: int
) -> tuple[Floats, Floats]:  # fmt: skip
    """Points (N, D) and their weights (N,), which sum to 1."""

    def weighed(turn: int, candidates: int) -> tuple[Floats, Floats, Floats]:
        u = _spread_over(world, arm, own, turn, box, candidates)
        log = likelihood.log(arm, _effects(own, u), candidates)
        if not np.isfinite(log.max()):
            where = format_path(("truth", world.arms[arm]))
            raise InputError([Problem(f"what was seen of {world.arms[arm]} has no chance under any of its effects", where)])
        weight = np.exp(log - log.max())
        return u, weight / weight.sum(), log

    box, enough = (np.zeros(len(own)), np.ones(len(own))), max(LEAST_SIZE, 2.0 * draws)
    for turn in range(_ROUNDS):
        u, weight, log = weighed(turn, CANDIDATES)
        if _size(weight) >= enough:
            return u, weight
        narrower = _narrowed(u, log, box)
        if ((narrower[1] - narrower[0]) > 0.8 * (box[1] - box[0])).all():
            break
        box = narrower
    candidates = CANDIDATES
    while _size(weight) < enough and candidates < _MOST_CANDIDATES:
        candidates *= 4
        u, weight, _ = weighed(_ROUNDS, candidates)
    if _size(weight) < LEAST_SIZE:
        where = format_path(("truth", world.arms[arm]))
        rule = f"only {_size(weight):.1f} of {candidates:,} candidates for what is true fit what was seen"
        hint = "the prior is far from it, or has effects that the table cannot tell apart"
        raise InputError([Problem(f"{rule}, and a forecast needs {LEAST_SIZE:g}: {hint}", where)])
    return u, weight


def _narrowed(u: Floats, log: Floats, box: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """A smaller box (D,), (D,) around the candidates that count."""
    counts = log > log.max() - _DEEP
    counts[np.argsort(log)[-_BEST:]] = True
    least, most = u[counts].min(axis=0), u[counts].max(axis=0)
    margin = _MARGIN * (most - least) + _DISTANCES * (box[1] - box[0]) / CANDIDATES ** (1 / u.shape[1])
    return np.maximum(least - margin, box[0]), np.minimum(most + margin, box[1])


def _size(weight: Floats) -> float:
    """The effective number of candidates (Kong, Liu & Wong, JASA 89 (1994) 278)."""
    return float(1 / (weight**2).sum())


def _resampled(seed: int, weight: Floats, draws: int, arm: str) -> Ints:
    """(R,) places, each as often as its weight says: systematic resampling, in an order of its own."""
    key = keys(seed, np.arange(draws), f"forecast.resample.{arm}")
    start = uniforms(at(key[:1], 1))[0]
    edges = np.cumsum(weight)
    places = np.minimum(np.searchsorted(edges, (np.arange(draws) + start) / draws * edges[-1]), weight.size - 1)
    return np.asarray(places[np.argsort(uniforms(at(key, 2)), kind="stable")])


def _believed(arm: str, metric: str, values: Floats, weight: Floats, prior: Floats, informed: bool) -> Believed:
    mean = float((weight * values).sum())
    order = np.argsort(values, kind="stable")
    edges = np.cumsum(weight[order])
    lower, upper = (float(values[order][min(int(np.searchsorted(edges, level)), values.size - 1)]) for level in (0.025, 0.975))
    sd = float(np.sqrt((weight * (values - mean) ** 2).sum()))
    return Believed(arm, metric, mean, sd, lower, upper, float(prior.mean()), float(prior.std()), informed)


def _surprises(arm: str, own: tuple[Unknown, ...], u: Floats, weight: Floats) -> list[str]:
    """Effects that the prior hardly holds possible."""
    found = []
    for place, each in enumerate(own):
        middle = float((weight * u[:, place]).sum())
        tail = 2 * min(middle, 1 - middle)
        if tail < _SURPRISING:
            effect = float((weight * quantiles(each.prior, u[:, place])).sum())
            found.append(
                f"{each.metric} of {arm} is about {format_effect(round(effect, 4))} by what was seen: its prior gives so much, "
                f"or more, a chance of {tail:.1g}"
            )
    return found
