"""How likely tallies are, given what is true of an arm; and whether the champion's are those that the scenario takes for given.

Calls are independent of each other, given the truth. So an arm's errors are binomial among its responses, its successes are
binomial among its known outcomes, its slow responses multinomial over the latency limits of the table, and the sum of n amounts
is normal, with the variance that was seen (central limit theorem). Where means change with time they are taken look by look,
each as the mean over its ticks by their expected requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from sim.arrays import Floats, Ints
from sim.errors import Problem
from sim.forecast.tallies import ERRORS, REQUESTS, RESPONSES, Tallies
from sim.policy.columns import MOMENTS, Above, Column, Moment
from sim.world.change import ERROR_RATE, LATENCY
from sim.world.metric import OutcomeWorld
from sim.world.world import World

Effects = Mapping[str, Floats]
"""{metric: (N,)} relative effects of one arm, in N candidates."""
# A sum of fewer amounts is not taken for normal.
LEAST_AMOUNTS = 30


def unanswerable(world: World) -> Iterator[Problem]:
    """Why tallies of a world cannot be weighed exactly, each at the key of the scenario that makes it so."""
    if world.competing:
        yield Problem(
            "a forecast needs requests that do not compete: what fails would hang on the load of each moment", "capacity"
        )
    if world.baseline:
        yield Problem("a forecast cannot start in the middle of a rollout with a baseline of the same age", "models")
    if world.population is not None and (world.population.similarity > 0 or world.population.sticky):
        yield Problem("a forecast needs requests that are independent: tallies do not say which are of one user", "users")
    if world.row_weights is not None and world.row_weights.bootstrap:
        rule = "a forecast takes the test set for the population: set it to `fixed`, as in --set data.population=fixed"
        yield Problem(rule, "data.population")
    change = world.change
    if change is not None and change.shocks:
        metric = change.shocks[0].metric
        yield Problem("a forecast cannot tell chance shocks from an effect by tallies alone", f"metrics.{metric}.shocks")
    if change is not None and change.timed:
        where = f"truth.{world.arms[change.timed[0].arm]}.{change.timed[0].metric}.when"
        yield Problem("a forecast takes an effect to be the same at all times", where)
    for outcome in world.outcomes:
        name = outcome.spec.name
        feedback = world.feedback.get(name)
        if feedback is None:
            continue
        if feedback.provisional or feedback.window_s is not None or feedback.by_outcome:
            rule = "a forecast needs outcomes that become known alike, whatever they are, and stay as they are"
            yield Problem(rule, f"metrics.{name}.delay")
        elif change is not None and change.changing(name):
            rule = "a forecast cannot tell when late outcomes of a metric that changes with time were made"
            yield Problem(rule, f"metrics.{name}.delay")


@dataclass(frozen=True)
class Fit:
    """A share or a mean of the champion: as seen, as the scenario takes it to be, and the standard errors between them."""

    name: str
    seen: float
    expected: float
    z: float


class Likelihood:
    """The likelihood of tallies in a world."""

    def __init__(self, seen: Tallies, world: World) -> None:
        self.seen, self.world = seen, world

    def informs(self, arm: int, metric: str) -> bool:
        """Whether the tallies say anything of a metric in an arm."""
        if metric == ERROR_RATE:
            return any(True for _ in self._errors())
        if metric == LATENCY:
            return any(isinstance(column, Above) for column in self.seen.counts)
        return self._outcome(self.world.outcome(metric), arm) is not None

    def log(self, arm: int, effects: Effects, candidates: int) -> Floats:
        """(N,) the log-likelihood of what was seen of an arm, but for a constant; minus infinity for what is impossible."""
        total = np.zeros(candidates)
        error = self._error_rate(arm, effects)
        for responses, errors in self._errors():
            rate = self._by_look(error, ERROR_RATE, arm)
            total += _binomial(self.seen.counts[errors][:, arm], self.seen.counts[responses][:, arm], rate)
        total += self._latency(arm, effects, candidates)
        for outcome in self.world.outcomes:
            total += self._of_outcome(outcome, arm, self._mean(outcome, arm, effects), error)
        return total

    def fits(self) -> list[Fit]:
        """How the champion's tallies compare with what the scenario says of the champion."""
        found = []
        error = self._error_rate(0, {})
        for responses, errors in self._errors():
            n, k = self.seen.counts[responses][:, 0], self.seen.counts[errors][:, 0]
            found += _fit(errors.name, n, k, self._by_look(error, ERROR_RATE, 0), None)
        for outcome in self.world.outcomes:
            known = self._outcome(outcome, 0)
            if known is not None:
                mean = self._by_look(self._mean(outcome, 0, {}), outcome.spec.name, 0)
                if known.mixed:
                    mean = self._mixed(outcome, mean, self._by_look(error, ERROR_RATE, 0))
                found += _fit(outcome.spec.name, known.count, known.total, mean, known.variance)
        return found

    def _errors(self) -> Iterator[tuple[Column, Column]]:
        """The columns of responses and errors that were seen, of live and of mirrored calls."""
        for responses, errors in ((RESPONSES, ERRORS), (RESPONSES.as_mirrored(), ERRORS.as_mirrored())):
            if responses in self.seen.counts and errors in self.seen.counts:
                yield responses, errors

    def _error_rate(self, arm: int, effects: Effects) -> Floats:
        """(N,) or (1,) the share of calls that fail, without what the timeline adds."""
        rate = self.world.error_rate
        if ERROR_RATE in effects:
            return np.asarray(rate[0] * (1 + effects[ERROR_RATE]))
        return rate[arm : arm + 1]

    def _mean(self, outcome: OutcomeWorld, arm: int, effects: Effects) -> Floats:
        """(N,) or (1,) the mean of an answer, without what changes with time."""
        effect = effects.get(outcome.spec.name)
        if effect is None:
            return outcome.mean[arm : arm + 1]
        # Of a replayed model the arm itself is varied, else the champion: `OutcomeWorld.realise`.
        return np.asarray(outcome.mean[arm if outcome.reward is not None else 0] * (1 + effect))

    def _by_look(self, usual: Floats, metric: str, arm: int) -> Floats:
        """(N, L) or (N, 1) a mean or a rate in each look, from the usual one (N,)."""
        change = self.world.change
        if change is None:
            return usual[:, None]
        if metric == ERROR_RATE:
            failing = self._over_looks(change.failing[:, arm])
            return usual[:, None] + (1 - usual[:, None]) * failing
        if not change.changing(metric):
            return usual[:, None]
        return usual[:, None] * self._over_looks(change.factors[metric][:, arm])

    def _over_looks(self, by_tick: Floats) -> Floats:
        """(L,) the mean over the ticks of each look, by their expected requests."""
        requests = self.world.requests[: self.seen.ticks]
        starts = self.seen.starts
        weight, total = (np.add.reduceat(each, starts) for each in (requests, requests * by_tick[: self.seen.ticks]))
        plain = np.add.reduceat(by_tick[: self.seen.ticks], starts) / np.diff([*starts, self.seen.ticks])
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(weight > 0, total / weight, plain)

    def _latency(self, arm: int, effects: Effects, candidates: int) -> Floats:
        """(N,) the log-likelihood of the responses above each limit, each among those above the limit before."""
        total = np.zeros(candidates)
        for mirrored in (False, True):
            limits = sorted(
                (column for column in self.seen.counts if isinstance(column, Above) and column.mirrored == mirrored),
                key=lambda column: column.limit_s,
            )
            responses: Column = RESPONSES.as_mirrored() if mirrored else RESPONSES
            if not limits or responses not in self.seen.counts:
                continue
            of, share = self.seen.counts[responses][:, arm], np.ones((1, 1))
            for limit in limits:
                above = self._above(limit.limit_s, arm, effects)
                with np.errstate(divide="ignore", invalid="ignore"):
                    chance = np.where(share > 0, above / share, 0.0)
                slow = self.seen.counts[limit][:, arm]
                total += _binomial(slow, of, np.minimum(chance, 1.0))
                of, share = slow, above
        return total

    def _above(self, limit_s: float, arm: int, effects: Effects) -> Floats:
        """(N, L) or (N, 1) the share of calls slower than a limit."""
        scale = 1 + effects[LATENCY] if LATENCY in effects else np.ones(1)
        law = self.world.latency[0 if LATENCY in effects else arm]
        change = self.world.change
        if change is None or (change.slowness == 1).all():
            return np.asarray(law.above(limit_s / scale))[:, None]
        slowness, place = np.unique(change.slowness[: self.seen.ticks, arm], return_inverse=True)
        place = place.reshape(-1)
        found: Floats = np.zeros((scale.size, self.seen.ends.size))
        for number, factor in enumerate(slowness):
            share = self._over_looks((place == number).astype(np.float64))
            found += np.asarray(law.above(limit_s / (scale * factor)))[:, None] * share
        return found

    def _outcome(self, outcome: OutcomeWorld, arm: int) -> _Known | None:
        """What was seen of a metric in an arm, without failures where they can be told apart; None where nothing was."""
        columns = [Moment(outcome.spec.name, moment) for moment in MOMENTS]
        if any(column not in self.seen.counts for column in columns[:2]):
            return None
        if outcome.kind != "binary" and columns[2] not in self.seen.counts:
            return None
        count, total = (self.seen.counts[column][:, arm].astype(np.float64) for column in columns[:2])
        square = None if outcome.kind == "binary" else self.seen.counts[columns[2]][:, arm].astype(np.float64)
        mixed = self.world.counts_failures and self.world.may_fail
        if mixed and ERRORS in self.seen.counts:
            errors, value = self.seen.counts[ERRORS][:, arm], outcome.failed_value
            count, total, mixed = count - errors, total - value * errors, False
            square = None if square is None else square - value**2 * errors
        if outcome.kind == "binary":
            return _Known(count, total, None, mixed)
        assert square is not None
        n = count.sum()
        if n < LEAST_AMOUNTS:
            return None
        variance = max(square.sum() / n - (total.sum() / n) ** 2, 1 / 12) * outcome.grid**2
        return _Known(count, total * outcome.grid, variance, mixed)

    def _of_outcome(self, outcome: OutcomeWorld, arm: int, mean: Floats, error: Floats) -> Floats | float:
        """(N,) the log-likelihood of the known outcomes of a metric."""
        known = self._outcome(outcome, arm)
        if known is None:
            return 0.0
        by_look = self._by_look(mean, outcome.spec.name, arm)
        if known.mixed:
            by_look = self._mixed(outcome, by_look, self._by_look(error, ERROR_RATE, arm))
        if known.variance is None:
            return _binomial(known.total, known.count, by_look)
        return _normal(known.total, known.count, by_look, known.variance)

    def _mixed(self, outcome: OutcomeWorld, mean: Floats, error: Floats) -> Floats:
        """The mean of requests, of which a share fails and counts, from that of answers."""
        return np.asarray(mean * (1 - error) + outcome.failed_outcome * error)


@dataclass(frozen=True)
class _Known:
    """Known outcomes of a metric in an arm, by look: count and total (L,); variance of one amount, None of a binary metric.

    `mixed`: failed requests are among them.
    """

    count: Floats
    total: Floats
    variance: float | None
    mixed: bool


def _binomial(successes: Ints | Floats, trials: Ints | Floats, chance: Floats) -> Floats:
    """(N,) summed over looks; chance (N, L) or (N, 1)."""
    from scipy.special import xlog1py, xlogy

    if chance.shape[1] == 1:
        successes, trials = np.array([successes.sum()]), np.array([trials.sum()])
    possible = ((chance >= 0) & (chance <= 1)).all(axis=1)
    chance = np.clip(chance, 0.0, 1.0)
    found: Floats = (xlogy(successes, chance) + xlog1py(trials - successes, -chance)).sum(axis=1)
    return np.where(possible, found, -np.inf)


def _normal(total: Floats, count: Floats, mean: Floats, variance: float) -> Floats:
    """(N,) summed over looks; mean (N, L) or (N, 1)."""
    if mean.shape[1] == 1:
        total, count = np.array([total.sum()]), np.array([count.sum()])
    some = count > 0
    away = total - count * mean
    found: Floats = -(away**2 * np.where(some, 1 / np.maximum(2 * count * variance, 1e-300), 0.0)).sum(axis=1)
    return found


def _fit(name: str, count: Ints | Floats, total: Ints | Floats, mean: Floats, variance: float | None) -> list[Fit]:
    """The champion's mean, as seen and as expected; nothing where nothing was seen. mean (1, L) or (1, 1)."""
    n = float(count.sum())
    if n == 0:
        return []
    expected = float((count * mean[0]).sum())
    spread = float((count * mean[0] * (1 - mean[0])).sum()) if variance is None else n * variance
    away = float(total.sum()) - expected
    z = away / np.sqrt(spread) if spread > 0 else (0.0 if abs(away) < 0.5 else np.inf * np.sign(away))
    return [Fit(name, float(total.sum()) / n, expected / n, float(z))]


Log = Callable[[int, Effects, int], Floats]
"""(arm, effects, N) to the log-likelihoods (N,)."""

__all__ = ["LEAST_AMOUNTS", "REQUESTS", "Effects", "Fit", "Likelihood", "Log", "unanswerable"]
