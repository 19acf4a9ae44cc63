"""The models file: what is read, what is refused, and what counts as the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sim.errors import InputError
from sim.registry.behaviour import Behaviour, Latency, ModelsFile, Outcome
from sim.scenario.loading import load
from sim.units import AS_WRITTEN, format_duration, format_share

EXAMPLES = sorted((Path(__file__).parents[2] / "scenarios" / "models").glob("*.yaml"))
OUTCOME: TypeAdapter[Any] = TypeAdapter(Outcome)
LATENCY: TypeAdapter[Any] = TypeAdapter(Latency)

amounts = st.floats(1e-3, 1e6)
shares = st.floats(0, 1).map(format_share)
durations = st.floats(1e-6, 1e3).map(format_duration)
# Up to a thousand times as much must be below nine years.
typical_s = st.floats(1e-3, 2e5)


def tail(values: st.SearchStrategy[float]) -> st.SearchStrategy[dict[str, float]]:
    return st.tuples(values, st.floats(1.01, 1e3)).map(lambda v: {"median": v[0], "p99": v[0] * v[1]})


def moments(values: st.SearchStrategy[float]) -> st.SearchStrategy[dict[str, float]]:
    return st.tuples(values, st.floats(0.01, 100)).map(lambda v: {"mean": v[0], "sd": v[0] * v[1]})


positive = st.one_of(
    st.fixed_dictionaries({"lognormal": tail(amounts) | moments(amounts)}),
    st.fixed_dictionaries({"gamma": moments(amounts)}),
    st.fixed_dictionaries({"pareto": st.fixed_dictionaries({"minimum": amounts, "tail": st.floats(1.001, 1000)})}),
)
outcomes = st.one_of(
    positive,
    st.fixed_dictionaries({"bernoulli": shares}),
    st.fixed_dictionaries({"normal": st.fixed_dictionaries({"mean": st.floats(-1e6, 1e6), "sd": amounts})}),
    st.fixed_dictionaries({"poisson": st.floats(1e-3, 1e4)}),
    st.fixed_dictionaries({"categorical": st.floats(0, 1).map(lambda share: {"0": share, "2.5": 1 - share})}),
    st.fixed_dictionaries({"beta": st.fixed_dictionaries({"mean": st.floats(0.1, 0.9), "sd": st.floats(0.01, 0.2)})}),
    st.fixed_dictionaries({"quantiles": st.tuples(amounts, amounts).map(lambda v: {"0%": min(v), "100%": max(v)})}),
    st.fixed_dictionaries({"zero_inflated": st.fixed_dictionaries({"rate": shares, "amount": positive})}),
)


def timed(value: dict[str, float]) -> dict[str, str]:
    return {name: format_duration(number) for name, number in value.items()}


@st.composite
def quantiles(draw: st.DrawFn) -> dict[str, str]:
    inner = sorted(draw(st.sets(st.floats(0.001, 0.999), max_size=8)))
    values = sorted(draw(st.lists(st.floats(1e-6, 1e3), min_size=len(inner) + 2, max_size=len(inner) + 2)))
    return {format_share(a): format_duration(b) for a, b in zip([0.0, *inner, 1.0], values, strict=True)}


latencies = st.one_of(
    st.fixed_dictionaries({"lognormal": (tail(typical_s) | moments(typical_s)).map(timed)}),
    st.fixed_dictionaries({"gamma": moments(typical_s).map(timed)}),
    st.fixed_dictionaries({"exponential": durations}),
    st.fixed_dictionaries({"weibull": st.fixed_dictionaries({"mean": durations, "shape": st.floats(0.1, 100)})}),
    st.fixed_dictionaries({"weibull": st.fixed_dictionaries({"scale": durations, "shape": st.floats(0.1, 100)})}),
    st.fixed_dictionaries({"pareto": st.fixed_dictionaries({"minimum": durations, "tail": st.floats(1.001, 1000)})}),
    st.fixed_dictionaries({"constant": durations}),
    st.fixed_dictionaries({"quantiles": quantiles()}),
    st.fixed_dictionaries({"mixture": st.lists(st.fixed_dictionaries({"constant": durations}), min_size=2, max_size=4)}),
)
versions = st.fixed_dictionaries(
    {
        "outcomes": st.dictionaries(st.sampled_from(["sale", "click_2"]), outcomes, min_size=1),
        "latency": latencies,
    },
    optional={"error_rate": shares, "agreement": shares, "description": st.text(max_size=20)},
)


@given(st.lists(versions, min_size=1, max_size=3))
def test_the_canonical_form_reloads_to_the_equal_file(specs: list[Any]) -> None:
    file = ModelsFile.model_validate({"model": "ranker", "versions": specs})
    again = ModelsFile.model_validate(file.to_dict())
    assert again == file
    assert again.to_dict() == file.to_dict()
    assert again.digest() == file.digest()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_files_are_read(path: Path) -> None:
    file = load(path, ModelsFile)
    assert file.versions[0].alias == "champion"
    assert len({version.behaviour.digest() for version in file.versions}) == len(file.versions)


def test_spelling_and_labels_do_not_change_the_digest() -> None:
    latency = {"constant": "45ms"}
    short = Behaviour.model_validate({"outcomes": {"sale": {"bernoulli": "5%"}}, "latency": latency})
    long = Behaviour.model_validate(
        {"error_rate": "0%", "latency": {"constant": "0.045s"}, "outcomes": {"sale": {"bernoulli": 0.05}}}
    )
    other = Behaviour.model_validate({"outcomes": {"sale": {"bernoulli": "5.1%"}}, "latency": latency})
    assert short.digest() == long.digest() != other.digest()


@pytest.mark.parametrize(
    ("text", "draw"),
    [
        ({"bernoulli": "5%"}, lambda o, g, n: g.random(n) < o.rate),
        ({"normal": {"mean": 10, "sd": 2}}, lambda o, g, n: g.normal(o.mean, o.sd, n)),
        ({"lognormal": {"mean": 30, "sd": 20}}, lambda o, g, n: g.lognormal(o.mu, o.sigma, n)),
        ({"lognormal": {"median": 20, "p99": 80}}, lambda o, g, n: g.lognormal(o.mu, o.sigma, n)),
        ({"gamma": {"mean": 30, "sd": 20}}, lambda o, g, n: g.gamma(o.shape, o.scale, n)),
        (
            {"zero_inflated": {"rate": "5%", "amount": {"gamma": {"mean": 30, "sd": 20}}}},
            lambda o, g, n: (g.random(n) < o.rate) * g.gamma(o.amount.shape, o.amount.scale, n),
        ),
    ],
)
def test_stated_moments_are_those_of_the_draws(text: Any, draw: Any) -> None:
    """Mean and variance of 400,000 draws, each within 4 of its own standard errors."""
    outcome = OUTCOME.validate_python(text)
    n = 400_000
    sample = np.asarray(draw(outcome, np.random.default_rng(1), n), dtype=float)
    squares = (sample - outcome.mean) ** 2
    assert abs(sample.mean() - outcome.mean) < 4 * outcome.sd / math.sqrt(n)
    assert abs(squares.mean() - outcome.sd**2) < 4 * squares.std() / math.sqrt(n)


def test_a_lognormal_latency_has_the_median_and_p99_it_was_given() -> None:
    """Shares of 400,000 draws below the stated points, within 4 binomial standard errors."""
    latency = LATENCY.validate_python({"lognormal": {"median": "45ms", "p99": "180ms"}})
    n = 400_000
    sample = np.random.default_rng(2).lognormal(latency.mu, latency.sigma, n)
    for level, point_s in ((0.5, 0.045), (0.99, 0.180)):
        assert abs((sample <= point_s).mean() - level) < 4 * math.sqrt(level * (1 - level) / n)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ({"quantiles": {"0%": "10ms", "50%": "45ms"}}, "end at 100%"),
        ({"quantiles": {"10%": "10ms", "100%": "45ms"}}, "start at 0%"),
        ({"quantiles": {"0%": "10ms", "60%": "20ms", "50%": "30ms", "100%": "45ms"}}, "levels must increase"),
        (
            {"quantiles": {"0%": "10ms", "50%": "9ms", "100%": "45ms"}},
            "must not decrease; got 10ms at 0% before 9ms",
        ),
        ({"quantiles": {"0%": "10ms", "0.0%": "9ms", "100%": "45ms"}}, "given twice"),
        ({"quantiles": {}}, "levels must start"),
        ({"lognormal": {"median": "180ms", "p99": "45ms"}}, "p99 must be above the median"),
        ({"gamma": {"mean": "1us", "sd": "1h"}}, "1000 times the mean"),
        ({"constant": 45}, "write a unit"),
        ({"weibull": {"mean": "50ms", "shape": 0}}, "greater than"),
        ({"weibull": {"median": "50ms", "shape": 1}}, "'mean', 'scale'"),
        ({"pareto": {"minimum": "10ms", "tail": 1}}, "greater than 1"),
    ],
)
def test_a_latency_that_is_none_is_refused(text: Any, rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        LATENCY.validate_python(text, context=AS_WRITTEN)


def test_every_mistake_in_a_models_file_is_reported_at_its_place(tmp_path: Path) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(
        "model: a/b\n"
        "versions:\n"
        "  - alias: v3\n"
        "    outcomes: {sale: {bernouli: 5%}, latency: {bernoulli: 5%}}\n"
        "    latency: 45ms\n"
        "    error_rate: 200%\n"
        "  - outcomes: {sale: {lognormal: {median: 3, p99: 1}}}\n"
        "    latency: {constant: 45ms}\n"
    )
    with pytest.raises(InputError) as caught:
        load(file, ModelsFile)
    found = {(problem.path, problem.line) for problem in caught.value.problems}
    assert found == {
        ("model", 1),
        ("versions[0].alias", 3),
        ("versions[0].outcomes.sale.bernouli", 4),
        ("versions[0].outcomes.latency", 4),
        ("versions[0].latency", 5),
        ("versions[0].error_rate", 6),
        ("versions[1].outcomes.sale.lognormal.p99", 7),
    }


def test_mistakes_in_kinds_of_outcome_and_mixtures_are_reported_where_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(
        "model: a\n"
        "versions:\n"
        "  - outcomes:\n"
        "      a: {poison: 1.3}\n"
        "      b: {poisson: -1}\n"
        "      c: {categorical: {one: 50%, 2: 50%}}\n"
        "      d: {categorical: {1: 50%, 2: 40%}}\n"
        "      e: {beta: {mean: 0.4, sd: 0.6}}\n"
        "      f: {pareto: {minimum: 5, tail: 0.9}}\n"
        "      g: {quantiles: {0%: 0, 50%: low, 100%: 9}}\n"
        "      h: {negative_binomial: {mean: 2, dispersion: 0}}\n"
        "      i: {negative_binomial: {mean: 2, disperson: 1}}\n"
        "    latency:\n"
        "      mixture:\n"
        "        - {share: 50%, constnt: 1ms}\n"
        "        - {share: 50%}\n"
        "  - outcomes: {a: {poisson: 1}}\n"
        "    latency: {mixture: [{share: 50%, constant: 1ms}, {share: 60%, constant: 1s}]}\n"
        "  - outcomes: {a: {poisson: 1}}\n"
        "    latency: {mixture: [{share: 50%, constant: 1ms}, {constant: 1s}]}\n"
    )
    with pytest.raises(InputError) as caught:
        load(file, ModelsFile)
    said = {(problem.path, problem.line): problem.message for problem in caught.value.problems}
    at = "versions[0].outcomes"
    expected = {
        (f"{at}.a.poison", 4): "did you mean 'poisson'?",
        (f"{at}.b.poisson", 5): "must be at least 1e-12; got -1",
        (f"{at}.c.categorical.one", 6): "a category must be a number from -1e12 to 1e12, such as 1 or 4.5; got 'one'",
        (f"{at}.d.categorical", 7): "shares must sum to 100%; got 90%",
        (f"{at}.e.beta.sd", 8): "must be from 0.001 to 0.9 times the square root of mean (1 - mean), which is 0.4899",
        (f"{at}.f.pareto", 9): "a tail up to 1 has no mean: give a maximum; got tail 0.9",
        (f"{at}.g.quantiles.50%", 10): "must be a number; got 'low'",
        (f"{at}.h.negative_binomial.dispersion", 11): "must be at least 1e-12; got 0",
        (f"{at}.i.negative_binomial.dispersion", 12): "is required",
        (f"{at}.i.negative_binomial.disperson", 12): "did you mean 'dispersion'?",
        ("versions[0].latency.mixture[0].constnt", 15): "did you mean 'constant'?",
        ("versions[0].latency.mixture[1]", 16): "needs a distribution beside its share, such as constant: 1ms",
        ("versions[1].latency.mixture", 18): "shares must sum to 100%; got 110%",
        ("versions[2].latency.mixture", 20): "shares must be given for all components or for none; got 1 of 2",
    }
    assert said.keys() == expected.keys()
    for where, rule in expected.items():
        assert rule in said[where]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"versions": []}, "at least one version"),
        ({"model": ""}, "name"),
        ({"model": "a:b"}, "colon"),
    ],
)
def test_a_file_without_a_usable_model_is_refused(change: dict[str, Any], rule: str) -> None:
    version = {"outcomes": {"sale": {"bernoulli": 0.1}}, "latency": {"constant": "1ms"}}
    with pytest.raises(ValidationError, match=rule):
        ModelsFile.model_validate({"model": "a", "versions": [version]} | change)


def test_an_alias_given_twice_is_refused() -> None:
    version = {"alias": "champion", "outcomes": {"sale": {"bernoulli": 0.1}}, "latency": {"constant": "1ms"}}
    with pytest.raises(ValidationError, match="given twice: champion"):
        ModelsFile.model_validate({"model": "a", "versions": [version, version]})
