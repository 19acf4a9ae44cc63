"""Draws by key: of the distributions they are said to be, and the same whoever else draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from sim.engine.compiled.engine import CompiledEngine
from sim.policy.base import Routing
from sim.policy.columns import Count, mean_of
from sim.scenario.users import Users
from sim.world import latency as latencies
from sim.world import sampling
from sim.world.population import Population
from sim.world.potential import Potential, Requests, user_of
from sim.world.sampling import Heap, law, nanoseconds, seconds
from sim.world.streams import at, keys
from sim.world.users import population
from sim.world.world import World
from tests.worlds import behaves, make_scenario, make_world

Floats = NDArray[np.float64]
N = 20_000
KEYS = at(keys(7, [0], "sampling"), np.arange(N, dtype=np.uint64))

METRICS = [{"name": "conversion", "role": "primary"}, {"name": "score"}, {"name": "revenue"}, {"name": "items"}]
OUTCOMES = {
    "conversion": {"bernoulli": 0.3},
    "score": {"normal": {"mean": 5.0, "sd": 2.0}},
    "revenue": {"zero_inflated": {"rate": 0.5, "amount": {"gamma": {"mean": 30.0, "sd": 10.0}}}},
    "items": {"poisson": 1.3},
}


def drawn(draw: Callable[[Any], Any]) -> Floats:
    """(N,) one draw a key."""
    return np.array([draw(key) for key in KEYS], np.float64)


def times(written: latencies.Latency | None) -> Floats:
    """(N,) seconds of a distribution, whose table is not the first in its heap."""
    heap = Heap(np.float64)
    heap.add([9.0, 9.0])
    said = law(written, heap)
    return drawn(partial(seconds, *said, heap.all()))


def alike(sample: Floats, cdf: Any) -> bool:
    """Whether a sample is of a distribution, by Kolmogorov and Smirnov; one honest sample in ten thousand is refused."""
    return bool(stats.kstest(sample, cdf).pvalue > 1e-4)


def test_keys_are_those_of_the_streams() -> None:
    start = keys(7, [3], "x")
    for counter in (0, 1, 15, 2**40):
        assert sampling.at(start[0], counter) == at(start, counter)[0]


def test_uniforms_normals_and_exponentials() -> None:
    assert alike(drawn(sampling.unit), stats.uniform.cdf)
    assert alike(drawn(sampling.normal), stats.norm.cdf)
    assert alike(drawn(sampling.exponential), stats.expon.cdf)


@pytest.mark.parametrize("shape", [0.2, 0.9, 1.0, 2.5, 40.0])
def test_gammas_of_any_shape(shape: float) -> None:
    sample = drawn(lambda key: sampling.gamma(shape, key))
    assert alike(sample, stats.gamma(shape).cdf)
    assert abs(sample.mean() - shape) < 4 * np.sqrt(shape / N)


@pytest.mark.parametrize(
    ("written", "cdf"),
    [
        (latencies.LogNormal(-2.0, 0.7), stats.lognorm(0.7, scale=np.exp(-2.0)).cdf),
        (latencies.Exponential(0.3), stats.expon(scale=0.3).cdf),
        (latencies.Gamma(0.5, 2.0), stats.gamma(0.5, scale=2.0).cdf),
        (latencies.Weibull(0.7, 0.2), stats.weibull_min(0.7, scale=0.2).cdf),
        (latencies.Pareto(0.01, 1.5), stats.pareto(1.5, scale=0.01).cdf),
    ],
)
def test_times_are_of_their_distribution(written: latencies.Latency, cdf: Any) -> None:
    sample = times(written)
    assert alike(sample, cdf)
    limit = float(np.quantile(sample, 0.9))
    assert abs((sample > limit).mean() - float(written.above(limit))) < 4 * np.sqrt(0.09 / N)


def test_quantiles_are_a_line_between_the_levels_with_jumps_where_values_are_equal() -> None:
    written = latencies.Quantiles((0.0, 0.3, 0.5, 0.9, 1.0), (0.1, 0.2, 0.2, 1.0, 5.0))
    sample = times(written)
    assert abs((sample == 0.2).mean() - 0.2) < 4 * np.sqrt(0.16 / N)
    for limit in (0.1, 0.15, 0.2, 0.5, 1.0, 3.0):
        above = float(written.above(limit))
        assert abs((sample > limit).mean() - above) <= 4 * np.sqrt(above * (1 - above) / N)
    assert sample.max() < 5.0


def test_a_call_of_a_mixture_is_of_one_component_and_independent_of_which() -> None:
    parts = (latencies.Constant(0.5), latencies.Gamma(0.5, 2.0), latencies.Quantiles((0.0, 1.0), (10.0, 11.0)))
    sample = times(latencies.Mixture((0.3, 0.5, 0.2), parts))
    kinds = [sample == 0.5, (sample != 0.5) & (sample < 10), sample >= 10]
    assert stats.chisquare([kind.sum() for kind in kinds], N * np.array([0.3, 0.5, 0.2])).pvalue > 1e-4
    assert alike(sample[kinds[1]], stats.gamma(0.5, scale=2.0).cdf)
    assert alike(sample[kinds[2]], stats.uniform(10, 1).cdf)


def test_what_is_constant_is_and_no_time_is_none() -> None:
    assert set(times(latencies.Constant(0.25))) == {0.25}
    assert set(times(None)) == {0.0}


def test_times_come_to_the_clock_rounded_once() -> None:
    assert [int(nanoseconds(time_s, 1)) for time_s in (0.0, 0.4e-9, 1.5e-9, 2.5e-9, 0.25)] == [1, 1, 2, 2, 250_000_000]
    assert int(nanoseconds(0.0, 0)) == 0
    assert int(nanoseconds(1e300, 1)) == int(nanoseconds(np.inf, 1)) == 2**61


# Users.


def world(requests: float = 20_000, **changes: Any) -> World:
    """A champion and a challenger alike, and so many requests a tick of ten minutes."""
    scenario = make_scenario(metrics=METRICS, traffic={"rate": f"{requests / 600}/s"}, horizon="30m")
    return replace(make_world(scenario, [behaves(outcomes=OUTCOMES)] * 2), **changes)


def people(count: int, activity: Any = "even", **changes: Any) -> Population:
    found = population(Users.model_validate({"count": count, "activity": activity, **changes}))
    assert found is not None
    return found


def requests_of(of: World, replication: int = 0) -> Requests:
    names = tuple(OUTCOMES)
    return Potential(of.realise(np.array([replication])), names, False, False).draw(0, 0)


@pytest.mark.parametrize("activity", ["even", {"pareto": 1.2}, {"lognormal": 2.0}])
def test_users_come_with_the_chances_of_their_activity(activity: Any) -> None:
    some = people(50, activity)
    tables = Potential(world(population=some).realise(np.arange(1)), (), False, False).tables
    n = 100_000
    users = [user_of(tables.rules[0], tables.rows[0], tables.floats, tables.ints, i) for i in range(n)]
    assert stats.chisquare(np.bincount(users, minlength=50), some.activity * n).pvalue > 1e-4


@pytest.mark.parametrize("metric", OUTCOMES)
@pytest.mark.parametrize("similarity", [0.0, 0.2, 0.7])
def test_similarity_is_the_correlation_of_two_requests_of_a_user_and_shifts_no_marginal(metric: str, similarity: float) -> None:
    of = world(60_000, population=people(20_000, similarity=similarity))
    requests, outcome = requests_of(of), next(each for each in of.outcomes if each.spec.name == metric)
    order = np.argsort(requests.user, kind="stable")
    users, values = requests.user[order], requests.values[metric][order, 0] * outcome.grid
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    # One pair a user, so that pairs are independent.
    starts = starts[np.append(np.diff(starts), users.size - starts[-1]) > 1]
    first, second = values[starts], values[starts + 1]
    mean, sd = outcome.mean[0], outcome.sd[0]
    for sample in (first, second):
        assert abs(sample.mean() - mean) < 4 * sd / np.sqrt(sample.size)
        around = (sample - mean) ** 2
        assert abs(around.mean() - sd**2) < 4 * around.std() / np.sqrt(sample.size)
    product = (first - mean) * (second - mean) / sd**2
    assert abs(product.mean() - similarity) < 4 * product.std() / np.sqrt(product.size)
    # Different users, and different arms, have nothing in common but the user.
    strangers = (first[1:] - mean) * (second[:-1] - mean) / sd**2
    assert abs(strangers.mean()) < 4 * strangers.std() / np.sqrt(strangers.size)


def arms_of(of: World, share: float) -> dict[int, set[int]]:
    """{user: arms that served one of their requests}, where the challenger has a share of the traffic."""
    engine = CompiledEngine(of.realise(np.arange(1)), (Count("requests"),), False, record=True)
    for _ in range(of.ticks):
        engine.step(Routing(np.arange(1), np.array([[1 - share, share]]), np.zeros((1, 2)), np.zeros(1, np.int64)))
    found: dict[int, set[int]] = {}
    for user, arm in zip(engine.calls["user"].tolist(), engine.calls["arm"].tolist(), strict=True):
        found.setdefault(user, set()).add(arm)
    return found


def test_a_larger_share_only_adds_users_where_assignment_is_sticky() -> None:
    of = world(2_000, population=people(1_000))
    few, more = arms_of(of, 0.1), arms_of(of, 0.2)
    assert all(len(arms) == 1 for arms in (*few.values(), *more.values()))
    had, have = ({user for user, arms in found.items() if arms == {1}} for found in (few, more))
    assert had < have
    for users, share in ((had, 0.1), (have, 0.2)):
        assert abs(len(users) / len(more) - share) < 4 * np.sqrt(share * (1 - share) / len(more))


def test_a_user_meets_both_arms_where_every_request_is_assigned() -> None:
    found = arms_of(world(2_000, population=people(100, assignment="request")), 0.5)
    assert all(arms == {0, 1} for arms in found.values())


def false_alarms(assignment: str, replications: int = 600) -> tuple[float, float]:
    """How often a z-test that takes requests for independent finds two equal arms different at 5%, and its standard error."""
    some = people(200, {"pareto": 1.5}, assignment=assignment, similarity="50%")
    truth = world(2_000, population=some).realise(np.arange(replications))
    engine = CompiledEngine(truth, mean_of("conversion"), False)
    rows = np.arange(replications)
    live, mirror = np.full((replications, 2), 0.5), np.zeros((replications, 2))
    counts = sum(engine.step(Routing(rows, live, mirror, np.zeros_like(rows))).counts for _ in range(2))
    n, successes = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    rate, pooled = successes / n, successes.sum(axis=1) / n.sum(axis=1)
    z = (rate[:, 1] - rate[:, 0]) / np.sqrt(pooled * (1 - pooled) * (1 / n).sum(axis=1))
    share = float((np.abs(z) > stats.norm.ppf(0.975)).mean())
    return share, float(np.sqrt(share * (1 - share) / replications))


def test_users_who_are_alike_and_unequal_make_a_naive_test_err_far_too_often() -> None:
    sticky, error = false_alarms("sticky")
    assert sticky - 4 * error > 0.3
    # Where every request is assigned on its own, requests are exchangeable between the arms and the test is right.
    request, error = false_alarms("request")
    assert abs(request - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 600)
