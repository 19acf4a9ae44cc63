"""Figures of tests with several looks, played: peeking, group sequential designs, SPRT, posteriors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np

from sim.policy.base import Verdict
from sim.stats import sprt
from sim.stats.group_sequential import design
from sim.stats.power import sample_size
from sim.stats.sequential import best_mixing_sd
from sim.stats.stopping_probability import Exits, exits
from sim.verify.figure import Figure, Sample, played
from sim.verify.rehearsal import Trials, converts, mean, rehearse, scenario_of, share, some, test_by
from sim.verify.sequential import AMR, JT, LD

INTEGRAL = "by integration (Armitage, McPherson & Rowe 1969)"

# A conversion rate of a half, and an effect so small that the normal approximation is exact for these figures.
BASE, MDE = 0.5, 0.0005
# Factor of the requests of a look, above the needed number: arrivals vary by less than this.
SPARE = 1.001
# A look is due at the end of the last of these ticks. If the plan were too small, the look would come earlier.
TICKS_A_LOOK = 5


def figures() -> Iterator[Figure]:
    """All played figures of this field."""
    yield from _peeking()
    yield from _played_designs()
    yield from _sprt()
    yield from _always_looking()


def _peeking() -> Iterator[Figure]:
    what = "false positive rate of peeking at two-sided"
    for looks, published in ((2, 0.083), (5, 0.142), (10, 0.193), (100, 0.374), (1000, 0.530)):
        yield played(
            f"sequential.play-peeking-{looks}", f"{what} 5%: {looks} looks, A/A tests", AMR, published,
            lambda quick, looks=looks, published=published: share(_peeks(looks, quick).declared, published), slow=looks > 100,
        )  # fmt: skip
    yield played(
        "sequential.play-peeking-compiled", f"{what} 5%: 5 looks, A/A tests of amounts, request by request", AMR, 0.142,
        lambda quick: share(_peeks_by_request(quick).declared, 0.142),
    )  # fmt: skip


def _played_designs() -> Iterator[Figure]:
    sas = "SAS/STAT SEQDESIGN example"
    for kind, looks, without, with_effect, source in (
        ("pocock", 4, 1.156, 0.697, sas), ("obrien_fleming", 5, None, 0.750, JT),
    ):  # fmt: skip
        title, slug = {"pocock": ("Pocock", "pocock"), "obrien_fleming": ("O'Brien–Fleming", "obrien-fleming")}[kind]
        rule: dict[str, Any] = {"design": kind, "looks": looks}
        yield from _error(slug, f"{title}, {looks} looks", rule, source)
        yield played(
            f"sequential.play-{slug}-power", f"{title}, {looks} looks: power", f"{source}: by design", 0.9,
            lambda quick, rule=rule: share(_designed(quick, True, **rule).verdict(Verdict.SHIP), 0.9),
        )  # fmt: skip
        for effect, published in ((False, without), (True, with_effect)):
            if published is not None:
                yield played(
                    f"sequential.play-{slug}-sample-{int(effect)}",
                    f"{title}, {looks} looks: mean sample over the fixed one, with{'' if effect else 'out'} the effect",
                    source, published, lambda quick, effect=effect, rule=rule: _mean_sample(quick, effect, **rule),
                    recalled=kind == "obrien_fleming",
                )  # fmt: skip
        yield from _unbiased(slug, f"{title}, {looks} looks, with the effect", rule)
    yield from _error("haybittle-peto", "Haybittle–Peto, 5 looks", {"design": "haybittle_peto", "looks": 5}, JT)
    yield from _error(
        "lan-demets",
        "O'Brien–Fleming-like spending, 5 looks",
        {"design": "spending", "spending": "obrien_fleming", "looks": 5},
        LD,
    )
    yield from _error(
        "kim-demets", "power-family spending, exponent 2, 4 looks",
        {"design": "spending", "spending": "kim_demets", "rho": 2, "looks": 4}, "Kim & DeMets 1987",
    )  # fmt: skip


def _error(slug: str, title: str, rule: Mapping[str, Any], source: str) -> Iterator[Figure]:
    yield played(
        f"sequential.play-{slug}-error", f"{title}: error in A/A tests", f"{source}: by design", 0.05,
        lambda quick: share(_designed(quick, False, **rule).declared, 0.05),
    )  # fmt: skip


def _unbiased(slug: str, title: str, rule: Mapping[str, Any]) -> Iterator[Figure]:
    source = "by design (Jennison & Turnbull 2000, §8.4 and §8.5)"
    yield played(
        f"sequential.play-{slug}-unbiased", f"{title}: median-unbiased estimates above the truth", source, 0.5,
        lambda quick: share(np.greater(*_estimated(quick, rule, "effect_unbiased", "effect_true")), 0.5),
    )  # fmt: skip
    yield played(
        f"sequential.play-{slug}-coverage", f"{title}: their 95% intervals that hold the truth", source, 0.95,
        lambda quick: share(_holds(*_estimated(quick, rule, "effect_lower", "effect_true", "effect_upper")), 0.95),
    )  # fmt: skip


def _estimated(quick: bool, rule: Mapping[str, Any], *columns: str) -> list[Any]:
    trials = _designed(quick, True, **rule)
    return [trials.columns[column] for column in columns]


def _holds(lower: Any, truth: Any, upper: Any) -> Any:
    return (lower <= truth) & (truth <= upper)


def _sprt() -> Iterator[Figure]:
    for multiple, title in ((0.0, "without the effect"), (1.0, "with the effect")):
        slug = f"{multiple:g}"
        yield played(
            f"sequential.play-sprt-sample-{slug}",
            f"SPRT at 5% and 5%, {SPRT_LOOKS} looks a fixed sample: mean sample over the fixed one, {title}", INTEGRAL,
            lambda multiple=multiple: _sprt_theory(multiple)[1],
            lambda quick, multiple=multiple: mean(
                _sprt_trials(multiple, quick).columns["requests_to_decision"] / _sprt_fixed()
            ),
        )  # fmt: skip
        yield played(
            f"sequential.play-sprt-declared-{slug}", f"SPRT at 5% and 5%: chance to declare the effect, {title}", INTEGRAL,
            lambda multiple=multiple: _sprt_theory(multiple)[0],
            lambda quick, multiple=multiple: share(
                _sprt_trials(multiple, quick).verdict(Verdict.SHIP), _sprt_theory(multiple)[0]
            ),
        )  # fmt: skip


def _always_looking() -> Iterator[Figure]:
    yield played(
        "sequential.play-mixture-sprt", "mixture SPRT at 5%, error in 100 looks at A/A tests", INTEGRAL, _mixture_theory,
        lambda quick: share(_mixture_trials(quick).declared, _mixture_theory()),
    )  # fmt: skip
    yield played(
        "sequential.play-confidence-sequence", "confidence sequence at 95%, 100 looks at A/A tests: it excludes no effect",
        f"{INTEGRAL}: the mixture's bounds, tuned to the same look", _mixture_theory,
        lambda quick: share(
            _looked_at({"kind": "confidence_sequence", "sample": MIDDLE // 2}, quick).declared, _mixture_theory()
        ),
    )  # fmt: skip
    for slug, title, evidence, source, most in (
        ("betting", "betting at 5%", {"kind": "betting"}, "Turner, Ly & Grünwald 2024, Theorem 1", 0.05),
        ("bayes-factor", "Bayes factor of 10", {"kind": "bayes_factor", "expected_effect": "1%"}, "Ville 1939", 0.1),
    ):  # fmt: skip
        yield played(
            f"sequential.play-{slug}", f"{title}, 100 looks at A/A tests: they declare a difference", source, most,
            lambda quick, evidence=evidence, most=most: share(_looked_at(evidence, quick).declared, most), at_most=True,
        )  # fmt: skip
    yield played(
        "sequential.play-betting-bandit", "betting at 5%, 100 looks at a Thompson bandit whose arms are the same: same",
        "Turner, Ly & Grünwald 2024, Theorem 1", 0.05, lambda quick: share(_bandit(quick).declared, 0.05), at_most=True,
    )  # fmt: skip
    yield played(
        "sequential.play-posterior", "posterior above 95%, 200 looks: null challengers that are shipped", INTEGRAL,
        _posterior_theory, lambda quick: share(_posterior_trials(quick).verdict(Verdict.SHIP), _posterior_theory()),
    )  # fmt: skip


@cache
def _peeks(looks: int, quick: bool) -> Trials:
    full = {100: 8_000, 1000: 1_500}.get(looks, 40_000)
    # The planned end is between the last two looks, so that every look is at the end of a tick.
    evidence = {"kind": "peeking", "every": "1h", "sample": round((looks - 0.5) * 5e6)}
    scenario = scenario_of(f"peeking-{looks}", 2, some(full, quick), looks, 1e7, [test_by(evidence)])
    return rehearse(scenario, converts(BASE, BASE))["test"]


@cache
def _peeks_by_request(quick: bool) -> Trials:
    evidence = {"kind": "peeking", "every": "1h", "sample": round(4.5 * 500)}
    scenario = scenario_of(
        "peeking-compiled", 2, some(10_000, quick), 5, 1000, [test_by(evidence)], engine="compiled",
        metrics=[{"name": "amount", "role": "primary"}],
    )  # fmt: skip
    return rehearse(scenario, [{"outcomes": {"amount": {"normal": {"mean": 10, "sd": 2}}}}] * 2)["test"]


@cache
def _designed(quick: bool, effect: bool, **rule: Any) -> Trials:
    """Trials of a group sequential test of power 90%, with a look every `TICKS_A_LOOK` ticks."""
    keys = {"kind" if key == "design" else key: value for key, value in rule.items()}
    plan = design(**keys, power=0.9)
    requests = 2 * _fixed_sample(0.9) * plan.maximum_information / plan.bounds.size / TICKS_A_LOOK * SPARE
    evidence = {"kind": "group_sequential", "mde": MDE, "power": 0.9, **rule}
    label = f"{rule.get('spending', plan.kind)}-{plan.bounds.size}-{'effect' if effect else 'null'}".replace("_", "-")
    scenario = scenario_of(label, 2, some(40_000, quick), plan.bounds.size * TICKS_A_LOOK, requests, [test_by(evidence)])
    return rehearse(scenario, converts(BASE, BASE * (1 + MDE * effect)))["test"]


def _mean_sample(quick: bool, effect: bool, **rule: Any) -> Sample:
    requests = _designed(quick, effect, **rule).columns["requests_to_decision"]
    return mean(requests / (2 * _fixed_sample(0.9) * SPARE))


def _fixed_sample(power: float) -> float:
    return sample_size("proportions", baseline=BASE, effect=BASE * MDE, power=power)


SPRT_LOOKS = 100
"""The number of equally spaced looks within the sample of the fixed test."""


def _sprt_fixed() -> float:
    """Requests of both arms in the fixed one-sided test with the same error rates."""
    return 2 * sample_size("proportions", baseline=BASE, effect=BASE * MDE, alpha=0.05, power=0.95, sides=1)


@cache
def _sprt_theory(multiple: float) -> tuple[float, float]:
    """P(declare) and the mean sample over the fixed sample, by exact integration over all looks."""
    from scipy.special import ndtri

    bounds = sprt.boundaries(0.05, 0.05)
    looks = 8 * SPRT_LOOKS
    information = np.arange(1, looks + 1) / SPRT_LOOKS
    # Units: the information of the fixed sample is 1. The log likelihood ratio is effect (score − effect t / 2).
    effect = -2 * float(ndtri(0.05))
    upper, lower = (
        (bound / effect + effect * information / 2) / np.sqrt(information) for bound in (bounds.upper, bounds.lower)
    )
    crossings: Exits = exits(information / information[-1], lower, upper, multiple * effect * math.sqrt(information[-1]))
    ends = crossings.upper + crossings.lower
    return float(crossings.upper.sum()), float(ends @ information / ends.sum())


@cache
def _sprt_trials(multiple: float, quick: bool) -> Trials:
    evidence = {"kind": "sprt", "alpha": 0.05, "power": 0.95, "mde": MDE, "sides": 1}
    scenario = scenario_of(
        f"sprt-{round(100 * multiple)}", 2, some(10_000, quick), 8 * SPRT_LOOKS, _sprt_fixed() / SPRT_LOOKS,
        [test_by(evidence)],
    )  # fmt: skip
    return rehearse(scenario, converts(BASE, BASE * (1 + MDE * multiple)))["test"]


MIXTURE_LOOKS, MIXTURE_REQUESTS = 100, 1e6
MIDDLE = round(MIXTURE_LOOKS / 2 * MIXTURE_REQUESTS)
"""The number of requests at which the bounds of a mixture are narrowest."""


def _mixing() -> float:
    return best_mixing_sd(math.sqrt(4 * BASE * (1 - BASE) / MIDDLE))


@cache
def _mixture_theory() -> float:
    requests = np.arange(1, MIXTURE_LOOKS + 1) * MIXTURE_REQUESTS
    variance, mixing = 4 * BASE * (1 - BASE) / requests, _mixing() ** 2
    # The z at which √(V/(V+τ²)) exp(τ² z² / (2 (V+τ²))) reaches 1 / α.
    z = np.sqrt((variance + mixing) / mixing * (np.log((variance + mixing) / variance) - 2 * math.log(0.05)))
    crossings = exits(requests / requests[-1], -z, z)
    return float((crossings.upper + crossings.lower).sum())


@cache
def _mixture_trials(quick: bool) -> Trials:
    return _aa("mixture", test_by({"kind": "mixture_sprt", "alpha": 0.05, "mixing_sd": _mixing()}), quick)


def _aa(name: str, policy: Mapping[str, Any], quick: bool) -> Trials:
    scenario = scenario_of(name, 2, some(10_000, quick), MIXTURE_LOOKS, MIXTURE_REQUESTS, [policy])
    return rehearse(scenario, converts(BASE, BASE))["test"]


def _looked_at(evidence: Mapping[str, Any], quick: bool) -> Trials:
    name = str(evidence["kind"]).replace("_", "-")
    return _aa(name, test_by(evidence), quick)


def _bandit(quick: bool) -> Trials:
    bandit = {
        "name": "test",
        "kind": "bandit",
        "allocation": {"kind": "thompson", "floor": "10%"},
        "evidence": {"kind": "betting"},
    }
    return _aa("betting-bandit", bandit, quick)


POSTERIOR_LOOKS = 200


@cache
def _posterior_theory() -> float:
    """P(ship a null challenger): a posterior of 95% is z = 1.645, and the test ends at both signs."""
    z = np.full(POSTERIOR_LOOKS, 1.6448536269514722)
    return float(exits(np.arange(1, POSTERIOR_LOOKS + 1) / POSTERIOR_LOOKS, -z, z).upper.sum())


@cache
def _posterior_trials(quick: bool) -> Trials:
    evidence = {"kind": "posterior", "threshold": "95%", "min_outcomes": 1}
    scenario = scenario_of("posterior", 2, some(10_000, quick), POSTERIOR_LOOKS, 2000, [test_by(evidence)])
    return rehearse(scenario, converts(BASE, BASE))["test"]
