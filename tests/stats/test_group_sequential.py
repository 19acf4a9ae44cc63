"""Group sequential designs against published tables, closed forms, a second quadrature and simulation."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad, simpson
from scipy.stats import multivariate_normal, norm

from sim.errors import InputError
from sim.stats import power as fixed
from sim.stats.group_sequential import Design, design
from sim.stats.spending import spent
from sim.stats.stopping_probability import FARTHEST, exits, start

Floats = NDArray[np.float64]


def crossing(information: Floats, lower: Floats, upper: Floats, drift: float = 0.0, points: int = 1201) -> float:
    """Probability to leave the bounds, by Simpson's rule on even grids: shares no code with `sim`."""
    t = information / information[-1]
    total, score, weight = 0.0, np.zeros(1), np.ones(1)
    for k, now in enumerate(t):
        before = t[k - 1] if k else 0.0
        scale, centre = math.sqrt(now - before), drift * math.sqrt(now)
        low, high = (math.sqrt(now) * np.clip(b, centre - 8, centre + 8) for b in (lower[k], upper[k]))
        mean = score + drift * (now - before)
        total += float(weight @ (norm.sf(high, mean, scale) + norm.cdf(low, mean, scale)))
        grid = np.linspace(low, high, points)
        density = norm.pdf(grid[:, None], mean, scale) @ weight
        score, weight = grid, density * simpson(np.eye(points), x=grid)
    return total


def bounds_of(found: Design) -> tuple[Floats, Floats]:
    return (-found.bounds if found.sides == 2 else np.full_like(found.bounds, -np.inf)), found.bounds


@pytest.mark.parametrize(
    ("looks", "pocock", "obrien_fleming", "nominal"),
    [
        (2, 2.178, 1.977, 0.0294),
        (3, 2.289, 2.004, 0.0221),
        (4, 2.361, 2.024, 0.0182),
        (5, 2.413, 2.040, 0.0158),
    ],
)
def test_the_constants_of_jennison_and_turnbull(looks: int, pocock: float, obrien_fleming: float, nominal: float) -> None:
    found = design("pocock", looks)
    np.testing.assert_allclose(found.bounds, pocock, atol=6e-4)
    np.testing.assert_allclose(found.nominal_p, nominal, atol=6e-5)
    expected = obrien_fleming * np.sqrt(looks / np.arange(1, looks + 1))
    np.testing.assert_allclose(design("obrien_fleming", looks).bounds, expected, atol=6e-4 * math.sqrt(looks))


@pytest.mark.parametrize(
    ("arguments", "bounds"),
    [
        ({"kind": "obrien_fleming", "looks": 3}, [3.471, 2.454, 2.004]),
        ({"kind": "spending", "looks": 5, "spending": "obrien_fleming"}, [4.877, 3.357, 2.680, 2.290, 2.031]),
        ({"kind": "spending", "looks": 5, "spending": "pocock"}, [2.438, 2.427, 2.410, 2.397, 2.386]),
        ({"kind": "haybittle_peto", "looks": 5}, [3, 3, 3, 3, 1.990]),
    ],
)
def test_published_bounds(arguments: dict[str, Any], bounds: list[float]) -> None:
    np.testing.assert_allclose(design(**arguments).bounds, bounds, atol=1e-3)
    if arguments["kind"] == "spending":
        np.testing.assert_allclose(design(**arguments, alpha=0.025, sides=1).bounds, bounds, atol=1e-3)


def test_published_sizes() -> None:
    pocock = design("pocock", 4, power=0.9)
    sizes = pocock.maximum_information, pocock.expected_information(0), pocock.expected_information()
    assert [100 * size for size in sizes] == pytest.approx([118.3, 115.6, 69.7], abs=0.1)
    fleming = design("obrien_fleming", 5, power=0.9)
    assert 100 * fleming.maximum_information == pytest.approx(102.65, abs=0.05)
    assert 100 * fleming.expected_information() == pytest.approx(75.0, abs=0.1)


def test_the_default_design_of_gsdesign() -> None:
    """What R's gsDesign() prints (gsDesign technical manual, ch. 4): HSD −4 and −2, non-binding futility."""
    families: dict[str, Any] = {"spending": "hwang_shih_decani", "futility": "hwang_shih_decani"}
    found = design("spending", 3, 0.025, 0.9, 1, gamma=-4, futility_gamma=-2, **families)
    assert found.futility is not None
    np.testing.assert_allclose(found.bounds, [3.01, 2.55, 2.00], atol=0.005)
    np.testing.assert_allclose(found.futility, [-0.24, 0.94, 2.00], atol=0.005)
    assert found.maximum_information == pytest.approx(1.070, abs=5e-4)
    assert found.drift is not None
    printed = {0.0: ([0.0013, 0.0049, 0.0171], [0.4057, 0.4290, 0.1420], 0.6249)}
    printed[1.0] = ([0.1412, 0.4403, 0.3185], [0.0148, 0.0289, 0.0563], 0.7913)
    for multiple, (upper, lower, size) in printed.items():
        crossed = found.exits(multiple * found.drift)
        np.testing.assert_allclose(crossed.upper, upper, atol=6e-5)
        np.testing.assert_allclose(crossed.lower, lower, atol=6e-5)
        assert found.expected_information(multiple) == pytest.approx(size, abs=6e-5)


KINDS: list[dict[str, Any]] = [
    {"kind": "pocock"},
    {"kind": "obrien_fleming"},
    {"kind": "wang_tsiatis", "shape": 0.25},
    {"kind": "haybittle_peto"},
    {"kind": "spending", "spending": "obrien_fleming"},
    {"kind": "spending", "spending": "pocock"},
    {"kind": "spending", "spending": "power", "rho": 2.0},
    {"kind": "spending", "spending": "hwang_shih_decani", "gamma": -4.0},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sides", [1, 2])
def test_one_look_is_the_fixed_design(kind: dict[str, Any], sides: int) -> None:
    found = design(**kind, looks=1, alpha=0.04, power=0.85, sides=sides)
    assert found.bounds == pytest.approx([norm.isf(0.04 / sides)], abs=1e-8)
    assert found.nominal_p == pytest.approx([0.04])
    sizes = found.maximum_information, found.expected_information(0), found.expected_information(1)
    assert sizes == pytest.approx((1, 1, 1), abs=1e-8)
    n = fixed.sample_size("means", sd=1, effect=1, alpha=0.04, power=0.85, sides=sides)
    for multiple in (0.5, 1, 1.7):
        assert found.power_at(multiple) == pytest.approx(
            fixed.power(n, "means", sd=1, effect=multiple, alpha=0.04, sides=sides), abs=1e-8
        )


@pytest.mark.parametrize("drift", [0.0, 2.9, -1.4])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.5, 0.99])
def test_two_looks_are_a_bivariate_normal(share: float, drift: float) -> None:
    root = math.sqrt(share)
    joint = multivariate_normal([drift * root, drift], [[1, root], [root, 1]])
    lower, upper = np.array([-1.0, -2.5]), np.array([2.6, 1.9])
    found = exits(np.array([share, 1.0]), lower, upper, drift)
    assert found.upper[0] == pytest.approx(norm.sf(upper[0], drift * root), rel=1e-12)
    assert found.lower[0] == pytest.approx(norm.cdf(lower[0], drift * root), rel=1e-12)
    # The distribution function of SciPy is good to 1e-8 or so for two variables.
    assert found.upper[1] == pytest.approx(joint.cdf([upper[0], 9], lower_limit=[lower[0], upper[1]]), abs=2e-7)
    assert found.lower[1] == pytest.approx(joint.cdf([upper[0], lower[1]], lower_limit=[lower[0], -9]), abs=2e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_two_looks_have_error_alpha_by_the_bivariate_normal(kind: dict[str, Any]) -> None:
    found = design(**kind, looks=2, information=[0.4, 1])
    joint = multivariate_normal([0, 0], [[1, math.sqrt(0.4)], [math.sqrt(0.4), 1]])
    assert joint.cdf(found.bounds, lower_limit=-found.bounds) == pytest.approx(0.95, abs=1e-7)


def test_simulated_tests_stop_where_the_design_says() -> None:
    found = design("spending", 4, power=0.8, sides=1, spending="pocock", futility="obrien_fleming")
    assert found.drift is not None
    assert found.futility is not None
    times, count = found.information, 200_000
    rng = np.random.Generator(np.random.Philox(11))
    for multiple in (0.0, 1.0):
        steps = rng.normal(size=(count, 4)) * np.sqrt(np.diff(times, prepend=0))
        z = (np.cumsum(steps, axis=1) + multiple * found.drift * times) / np.sqrt(times)
        stopped = (z >= found.bounds) | (z <= found.futility)
        last = np.argmax(stopped, axis=1)
        declared = (z >= found.bounds)[np.arange(count), last]
        ends = np.bincount(last, minlength=4) / count
        expected = found.stop_probabilities(multiple)
        assert (np.abs(ends - expected) < 4 * np.sqrt(expected * (1 - expected) / count)).all()
        chance = found.power_at(multiple)
        assert abs(declared.mean() - chance) < 4 * math.sqrt(chance * (1 - chance) / count)
        used = times[last] * found.maximum_information
        assert abs(used.mean() - found.expected_information(multiple)) < 4 * used.std() / math.sqrt(count)


@st.composite
def designs(draw: st.DrawFn) -> dict[str, Any]:
    looks = draw(st.integers(1, 6))
    steps = draw(st.lists(st.floats(0.05, 1), min_size=looks, max_size=looks))
    fractions = np.cumsum(steps) / sum(steps) * draw(st.sampled_from([0.7, 1.0]))
    kind = dict(draw(st.sampled_from(KINDS)))
    if kind["kind"] == "wang_tsiatis":
        kind["shape"] = draw(st.floats(-0.5, 1))
    if kind["kind"] == "haybittle_peto":
        kind["interim"] = draw(st.floats(3.5, 6))
    kind |= {"looks": looks, "information": fractions, "sides": draw(st.sampled_from([1, 2]))}
    return kind | {"alpha": draw(st.floats(0.005, 0.3))}


@settings(max_examples=20)
@given(designs())
def test_the_error_is_alpha_by_another_quadrature(arguments: dict[str, Any]) -> None:
    found = design(**arguments)
    assert np.isfinite(found.bounds).all()
    assert crossing(found.information, *bounds_of(found)) == pytest.approx(found.alpha, abs=1e-6)


@settings(max_examples=20)
@given(designs(), st.floats(0.5, 0.95))
def test_power_and_stopping_hold_together(arguments: dict[str, Any], goal: float) -> None:
    found = design(**arguments, power=goal)
    assert found.power_at(1) == pytest.approx(goal, abs=1e-8)
    assert found.power_at(0) == pytest.approx(found.alpha / found.sides, abs=1e-8)
    assert found.power_at(0.5) < goal < found.power_at(1.5)
    assert found.maximum_information >= 1 - 1e-6
    for multiple in (0.0, 1.0, -2.0):
        ends = found.stop_probabilities(multiple)
        assert ends.sum() == pytest.approx(1)
        assert (ends >= -1e-9).all()
        assert 0 < found.expected_information(multiple) <= found.maximum_information * (1 + 1e-9)
    assert found.drift is not None
    lower, upper = bounds_of(found)
    anywhere = found.exits(found.drift)
    assert anywhere.upper.sum() + anywhere.lower.sum() == pytest.approx(
        crossing(found.information, lower, upper, found.drift), abs=1e-6
    )


@given(designs(), st.floats(-4, 4))
@settings(max_examples=20)
def test_swapping_the_arms_swaps_the_bounds(arguments: dict[str, Any], drift: float) -> None:
    found = design(**arguments | {"sides": 2})
    one, other = found.exits(drift), found.exits(-drift)
    np.testing.assert_allclose(one.upper, other.lower, atol=1e-12)
    np.testing.assert_allclose(one.lower, other.upper, atol=1e-12)
    lower, upper = -found.bounds, found.bounds + 0.3
    times = found.information / found.information[-1]
    np.testing.assert_allclose(exits(times, lower, upper, drift).upper, exits(times, -upper, -lower, -drift).lower, atol=1e-12)


@settings(max_examples=20)
@given(st.integers(2, 12), st.floats(0.005, 0.2), st.sampled_from([1, 2]))
def test_bounds_order_as_theory_says(looks: int, alpha: float, sides: int) -> None:
    def bounds(kind: str, **extra: Any) -> Floats:
        return design(kind, looks, alpha, sides=sides, **extra).bounds  # type: ignore[arg-type]

    pocock, fleming, between = bounds("pocock"), bounds("obrien_fleming"), bounds("wang_tsiatis", shape=0.25)
    single = norm.isf(alpha / sides)
    np.testing.assert_allclose(pocock, pocock[0])
    assert (np.diff(fleming) < 0).all()
    assert single < fleming[-1] < between[-1] < pocock[-1] < norm.isf(alpha / sides / looks)
    assert fleming[0] > between[0] > pocock[0]
    early, late = bounds("spending", spending="power", rho=1), bounds("spending", spending="power", rho=3)
    assert early[0] < late[0]
    assert early[-1] > late[-1]
    assert (np.diff(bounds("spending", spending="obrien_fleming")) < 0).all()


def test_a_hundred_looks_spend_what_can_hardly_be_seen() -> None:
    found = design("spending", 100, spending="obrien_fleming")
    assert (np.diff(found.bounds) < 0).all()
    spends = np.diff(spent("obrien_fleming", [0.01, 0.02], 0.025), prepend=0)
    assert found.bounds[0] == pytest.approx(norm.isf(spends[0]))
    first, second = found.bounds[:2] * np.sqrt([0.01, 0.02])

    def second_crossing(score: float) -> float:
        return float(np.exp(norm.logpdf(score, 0, 0.1) + norm.logsf(second, score, 0.1) - math.log(spends[1])))

    assert spends[1] < 1e-50
    assert quad(second_crossing, -first, first, epsabs=1e-10)[0] == pytest.approx(1, rel=1e-6)
    # A thousand looks: the first may spend 1e-1000, less than a double can hold.
    assert start().upper_bound(0.0, 0.001) == FARTHEST


def test_actual_looks_change_no_earlier_bound_and_spend_the_rest() -> None:
    def bounds(*information: float) -> Design:
        return design("spending", len(information), spending="obrien_fleming", information=information)

    planned, early, late = bounds(0.25, 0.5, 0.75, 1), bounds(0.25, 0.5, 0.75, 0.9), bounds(0.25, 0.5, 0.75, 1.2)
    for actual in (early, late):
        np.testing.assert_allclose(actual.bounds[:3], planned.bounds[:3], rtol=1e-9)
        assert crossing(actual.information, *bounds_of(actual)) == pytest.approx(0.05, abs=1e-6)
    assert early.bounds[3] < planned.bounds[3] < late.bounds[3]
    sized = design("spending", 4, power=0.8, spending="obrien_fleming")
    assert sized.drift is not None
    reached = [found.exits(sized.drift * math.sqrt(found.information[-1])).upper.sum() for found in (early, planned, late)]
    assert reached[0] < reached[1] < reached[2]
    assert reached[1] == pytest.approx(0.8, abs=1e-8)


@pytest.mark.parametrize("binding", [False, True])
def test_futility_spends_beta(binding: bool) -> None:
    found = design(
        "spending",
        4,
        0.025,
        0.9,
        1,
        spending="obrien_fleming",
        futility="pocock",
        binding=binding,
        information=[0.2, 0.5, 0.7, 1],
    )
    assert found.futility is not None
    assert found.drift is not None
    assert found.futility[-1] == found.bounds[-1]
    assert (np.diff(found.futility) > 0).all()
    assert (found.futility[:-1] < found.bounds[:-1]).all()
    missed = found.exits(found.drift).lower
    np.testing.assert_allclose(np.cumsum(missed), spent("pocock", found.information, 0.1), atol=1e-8)
    assert found.power_at() == pytest.approx(0.9, abs=1e-8)
    obeyed, ignored = found.power_at(0), crossing(found.information, *bounds_of(found))
    if binding:
        assert obeyed == pytest.approx(0.025, abs=1e-8)
        assert ignored > 0.0251
    else:
        assert obeyed < 0.0249
        assert ignored == pytest.approx(0.025, abs=1e-6)


def test_futility_goes_with_bounds_that_spend_nothing() -> None:
    plain, found = (design("pocock", 3, 0.025, 0.9, 1, futility=futility) for futility in (None, "pocock"))
    np.testing.assert_array_equal(found.bounds, plain.bounds)
    assert found.maximum_information > plain.maximum_information
    assert found.expected_information(0) < plain.expected_information(0)


@pytest.mark.parametrize(
    ("changed", "path", "message"),
    [
        ({"kind": "peto"}, "kind", "got peto"),
        ({"looks": 0}, "looks", "must be a whole number, 1 or more, got 0"),
        ({"looks": 2.5}, "looks", "got 2.5"),
        ({"alpha": 0.0}, "alpha", "must lie strictly between 0 and 1, got 0.0"),
        ({"alpha": 1.0}, "alpha", "got 1.0"),
        ({"power": 0.05}, "power", r"must lie strictly between alpha \(0.05\) and 1, got 0.05"),
        ({"power": 1.0}, "power", "got 1.0"),
        ({"sides": 3}, "sides", "must be 1 or 2, got 3"),
        ({"information": [0.5, 0.5, 1]}, "information", r"rise .*, got \[0.5, 0.5, 1.0\]"),
        ({"information": [0.0, 0.5, 1]}, "information", "above 0"),
        ({"information": [0.2, math.nan, 1]}, "information", "finite"),
        ({"information": [0.5, 1]}, "information", r"one fraction per look \(3\), got shape \(2,\)"),
        ({"information": [0.5, 1, 1.2]}, "information", "below 1"),
        ({"shape": 0.1}, "shape", "wang_tsiatis only, got 0.1"),
        ({"kind": "wang_tsiatis"}, "shape", "got None"),
        ({"interim": 3}, "interim", "haybittle_peto only, got 3"),
        ({"kind": "haybittle_peto", "interim": 1.9}, "interim", r"must leave some of alpha \(0.05\) to the last look, got 1.9"),
        ({"spending": "pocock"}, "spending", "kind spending only, got pocock"),
        ({"kind": "spending"}, "spending", "got None"),
        ({"kind": "spending", "spending": "power"}, "rho", "must be positive and finite for power, got None"),
        ({"kind": "spending", "spending": "hwang_shih_decani"}, "gamma", "got None"),
        ({"kind": "spending", "spending": "pocock", "gamma": 1}, "gamma", "must not be given for pocock, got 1"),
        ({"futility": "pocock", "power": 0.8}, "sides", "must be 1 with futility, got 2"),
        ({"futility": "pocock", "sides": 1}, "power", "got None"),
        ({"futility": "power", "sides": 1, "power": 0.8}, "futility_rho", "got None"),
        ({"futility": "best", "sides": 1, "power": 0.8}, "futility", "got best"),
        ({"futility": "pocock", "sides": 1, "power": 0.8, "binding": True}, "kind", "binding, got pocock"),
        ({"binding": True}, "binding", "with futility only"),
    ],
)
def test_impossible_designs_are_refused_by_name(changed: dict[str, Any], path: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        design(**{"kind": "pocock", "looks": 3} | changed)
    assert [problem.path for problem in caught.value.problems] == [path]


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        design("pocock", 0, alpha=2, sides=0, information=[])
    assert {problem.path for problem in caught.value.problems} == {"looks", "alpha", "sides"}


def test_sizes_need_power_and_designs_are_frozen() -> None:
    found = design("pocock", 3)
    with pytest.raises(InputError, match="power: must be given to the design"):
        found.expected_information()
    with pytest.raises(InputError, match="drift: must be finite"):
        found.exits(math.inf)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.alpha = 0.1  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        found.bounds[0] = 0


@given(
    st.sampled_from([("obrien_fleming", {}), ("pocock", {}), ("power", {"rho": 0.3}), ("kim_demets", {"rho": 7.0})])
    | st.floats(-1000, 1000).map(lambda gamma: ("hwang_shih_decani", {"gamma": gamma})),
    st.floats(1e-6, 0.5),
)
def test_spending_rises_from_nothing_to_all(family: tuple[Any, dict[str, float]], error: float) -> None:
    share = spent(family[0], np.linspace(0, 1.5, 31), error, **family[1])
    assert share[0] == 0
    assert (share[20:] == error).all()
    assert (np.diff(share) >= -1e-12 * error).all()


def test_spending_formulas() -> None:
    assert spent("power", 0.5, 0.05, rho=3) == pytest.approx(0.05 / 8)
    for gamma in (-4.0, -1e-9, 1e-9, 3.0):
        expected = 0.05 * math.expm1(-gamma * 0.3) / math.expm1(-gamma)
        assert spent("hwang_shih_decani", 0.3, 0.05, gamma=gamma) == pytest.approx(expected)
    assert spent("hwang_shih_decani", 0.3, 0.05, gamma=0) == pytest.approx(0.015)
    assert spent("pocock", 0.5, 0.05) == pytest.approx(0.05 * math.log(1 + (math.e - 1) / 2))
    with pytest.raises(InputError, match="error: must lie strictly between 0 and 1, got 2") as caught:
        spent("pocock", -1, 2)
    assert [problem.path for problem in caught.value.problems] == ["time", "error"]
