"""The quick figures, each of them; and that a wrong one is noticed."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from sim.errors import InputError
from sim.verify import page
from sim.verify.bandits import thompson_regret
from sim.verify.figure import Figure, Sample, exact, played
from sim.verify.rehearsal import NEVER, Trials, converts, mean, measured, rehearse, scenario_of, share, test_by
from sim.verify.run import FIELDS, MODULES, chosen, figures, verify

IN_MODULE = {name: [] for name in MODULES}
for each in figures():
    field = "sequential_played" if each.name.startswith("sequential.play") else each.field
    IN_MODULE[field].append(each)


@pytest.mark.parametrize("module", MODULES)
def test_quick_figures_agree(module: str) -> None:
    quick = [figure for figure in IN_MODULE[module] if not figure.slow]
    assert quick
    results = verify(quick, quick=True)
    assert [result.figure.name for result in results if not result.passed] == []


def test_names_are_fields_and_words() -> None:
    names = [figure.name for figure in figures()]
    assert len(set(names)) == len(names)
    assert {figure.field for figure in figures()} == set(FIELDS)
    assert [name for name in names if not re.fullmatch(r"[a-z]+\.[a-z0-9]+(-[a-z0-9]+)*", name)] == []


def figure_of(ours: float | Sample, published: float = 1.0) -> Figure:
    if isinstance(ours, Sample):
        return played("fixed.one", "one", "arithmetic", published, lambda quick: ours)
    return exact("fixed.one", "one", "arithmetic", published, lambda: ours, 0.01)


@pytest.mark.parametrize(
    ("ours", "passes"),
    [
        (1.0, True), (1.01, True), (1.0101, False), (math.nan, False), (math.inf, False),
        (Sample(1.39, 0.1, 9), True), (Sample(1.41, 0.1, 9), False), (Sample(0.59, 0.1, 9), False),
        (Sample(math.nan, 0.1, 9), False), (Sample(1.0, math.nan, 9), False), (Sample(1.1, 0.0, 9), False),
    ],
)  # fmt: skip
def test_a_number_that_is_off_is_off(ours: float | Sample, passes: bool) -> None:
    assert figure_of(ours).check(quick=True).passed == passes


@pytest.mark.parametrize(("ours", "passes"), [(0.2, True), (1.39, True), (1.41, False), (math.nan, False), (-math.inf, False)])
def test_less_than_a_bound_agrees_with_it(ours: float, passes: bool) -> None:
    figure = played("fixed.one", "one", "arithmetic", 1.0, lambda quick: Sample(ours, 0.1, 9), at_most=True)
    result = figure.check(quick=True)
    assert result.passed == passes
    assert page.published(result) == "≤ 1"
    assert result.to_dict()["at_most"] is True


def test_too_few_numbers_are_off() -> None:
    assert not exact("fixed.two", "two", "arithmetic", (1.0, 2.0), lambda: [1.0]).check(quick=True).passed


def test_a_simulation_that_is_wrong_is_noticed() -> None:
    """A third look that nobody counted: 10.7% is not 8.3%."""
    evidence = {"kind": "peeking", "every": "1h", "sample": round(2.5 * 5e6)}
    scenario = scenario_of("three-looks", 2, 10_000, 3, 1e7, [test_by(evidence)])
    declared = rehearse(scenario, converts(0.5, 0.5))["test"].declared
    assert played("fixed.looks", "", "", 0.107, lambda quick: share(declared, 0.107)).check(quick=True).passed
    assert not played("fixed.looks", "", "", 0.083, lambda quick: share(declared, 0.083)).check(quick=True).passed


def test_draws_belong_to_the_name() -> None:
    def regret(name: str) -> np.ndarray:
        scenario = scenario_of(name, 2, 50, 2, 100, [test_by(NEVER)])
        return rehearse(scenario, converts(0.5, 0.4))["test"].columns["regret"]

    np.testing.assert_array_equal(regret("a"), regret("a"))
    assert (regret("a") != regret("b")).any()


def test_a_mean_comes_with_its_error() -> None:
    found = mean(np.array([1.0, 2.0, 3.0]))
    assert (found.value, found.trials) == (2.0, 3)
    assert found.standard_error == pytest.approx(1 / math.sqrt(3))


def test_a_measure_is_that_of_the_reports() -> None:
    declared = np.array([1.0, 2.0, np.nan, 1.0])
    columns = {
        "effect_estimate": np.array([3.0, -2.0, 9.0, 4.0]),
        "effect_true": np.ones(4),
        "time_to_significance_s": declared,
        "replication": np.arange(4),
    }
    found = measured("exaggeration", Trials("aggregate", columns))
    assert (found.value, found.trials) == (3.0, 3)
    # Of 3, 2 and 4 the sd is 1; the interval is Student's with two degrees of freedom.
    assert found.standard_error == pytest.approx(1 / math.sqrt(3) * 4.302653 / 1.959964)
    assert math.isnan(measured("exaggeration", Trials("aggregate", {**columns, "effect_true": np.zeros(4)})).value)


def test_regret_of_two_requests_by_hand() -> None:
    """After one request at random, Beta(2, 1) beats Beta(1, 1) with 2/3, and Beta(1, 2) loses to it as often."""
    second = 0.5 * (0.6 * 1 / 3 + 0.4 * 2 / 3) + 0.5 * (0.3 * 2 / 3 + 0.7 * 1 / 3)
    assert thompson_regret((0.6, 0.3), 2) == pytest.approx(0.3 * (0.5 + second))
    assert thompson_regret((0.3, 0.6), 2) == pytest.approx(0.3 * (0.5 + second))


def test_some_figures_by_their_names() -> None:
    assert {figure.field for figure in chosen(["queues", "bandits.lai"])} == {"queues", "bandits"}
    assert [figure.name for figure in chosen(["sequential.play-peeking-1000"], quick=True)] == ["sequential.play-peeking-1000"]
    assert "sequential.play-peeking-1000" not in [figure.name for figure in chosen(quick=True)]
    with pytest.raises(InputError, match=r"--only: no figure's name begins so; fields are sequential, .*, got 'ques'"):
        chosen(["ques"])


def test_the_text_says_what_is_off() -> None:
    results = [figure_of(1.0).check(True), figure_of(Sample(2.0, 0.01, 500)).check(True)]
    text = "\n".join(page.lines(results))
    assert "2 figures, 1 of them played: 1 off: fixed.one" in text
    assert "OFF" in text
    assert "0.04 [500]" in text
