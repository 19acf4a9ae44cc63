"""Figures of tests with several looks, by integration: peeking, group sequential designs, SPRT."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from sim.stats import sprt
from sim.stats.group_sequential import design
from sim.stats.peeking import false_positive_rate
from sim.stats.stopping import median_unbiased
from sim.verify.figure import Figure, exact

AMR = "Armitage, McPherson & Rowe 1969, Table 2"
JT = "Jennison & Turnbull 2000"
LD = "Lan & DeMets 1983"
GS = "gsDesign technical manual, ch. 4"
WALD = "Wald 1947"
RPACT = "rpact, unit tests"


def figures() -> Iterator[Figure]:
    """All figures of this field."""
    yield from _peeking()
    yield from _constants()
    yield from _spending()
    yield from _sizes()
    yield from _stopping()
    yield from _sprt()


def _peeking() -> Iterator[Figure]:
    what = "false positive rate of peeking at two-sided"
    yield exact(
        "sequential.peeking", f"{what} 5%: 2, 5, 10 looks", AMR, (0.083, 0.142, 0.193),
        lambda: [false_positive_rate(looks) for looks in (2, 5, 10)],
    )  # fmt: skip
    yield exact(
        "sequential.peeking-long", f"{what} 5%: 100, 1000 looks", AMR, (0.374, 0.530),
        lambda: [false_positive_rate(looks) for looks in (100, 1000)],
    )  # fmt: skip
    yield exact(
        "sequential.peeking-more", f"{what} 5%: 3, 4, 20, 50, 200 looks", AMR, (0.107, 0.126, 0.248, 0.320, 0.424),
        lambda: [false_positive_rate(looks) for looks in (3, 4, 20, 50, 200)], recalled=True,
    )  # fmt: skip
    yield exact(
        "sequential.peeking-levels", f"{what} 1%: 2, 5, 10 looks; 10%: 2, 5, 10 looks", AMR,
        (0.018, 0.033, 0.047, 0.160, 0.260, 0.342),
        lambda: [false_positive_rate(looks, alpha) for alpha in (0.01, 0.1) for looks in (2, 5, 10)], recalled=True,
    )  # fmt: skip


def _constants() -> Iterator[Figure]:
    for alpha, pocock, fleming, recalled in (
        (0.05, (2.178, 2.289, 2.361, 2.413), (1.977, 2.004, 2.024, 2.040), False),
        (0.01, (2.772, 2.873, 2.939, 2.986), (2.580, 2.595, 2.609, 2.621), True),
        (0.10, (1.875, 1.992, 2.067, 2.122), (1.678, 1.710, 1.733, 1.751), True),
    ):
        for kind, title, values, table in (
            ("pocock", "Pocock", pocock, "Table 2.1"), ("obrien_fleming", "O'Brien–Fleming", fleming, "Table 2.3"),
        ):  # fmt: skip
            yield exact(
                f"sequential.{kind.replace('_', '-')}-{alpha * 100:g}", f"{title} constant at {alpha:.0%}, 2 to 5 looks",
                f"{JT}, {table}", values,
                lambda kind=kind, alpha=alpha: [design(kind, looks, alpha).bounds[-1] for looks in range(2, 6)],
                recalled=recalled,
            )  # fmt: skip
    yield exact(
        "sequential.constants-10-20", "Pocock and O'Brien–Fleming constants at 5%, 10 and 20 looks", JT,
        (2.555, 2.672, 2.087, 2.126),
        lambda: [design(kind, looks).bounds[-1] for kind in ("pocock", "obrien_fleming") for looks in (10, 20)], recalled=True,
    )  # fmt: skip
    yield exact(
        "sequential.obrien-fleming-bounds", "O'Brien–Fleming bounds, 3 looks", f"{JT}; rpact", (3.471, 2.454, 2.004),
        lambda: design("obrien_fleming", 3).bounds,
    )  # fmt: skip
    yield exact(
        "sequential.pocock-p", "Pocock's nominal p, 2 to 5 looks", "Pocock 1977", (0.0294, 0.0221, 0.0182, 0.0158),
        lambda: [design("pocock", looks).nominal_p[0] for looks in range(2, 6)], 1e-4, recalled=True,
    )  # fmt: skip
    for shape, values in (
        (0.1, (1.994, 2.026, 2.050, 2.068)), (0.25, (2.038, 2.083, 2.113, 2.136)), (0.4, (2.111, 2.186, 2.233, 2.267)),
    ):  # fmt: skip
        yield exact(
            f"sequential.wang-tsiatis-{shape * 100:g}", f"Wang–Tsiatis constant, shape {shape:g}, 2 to 5 looks",
            f"{JT}, Table 2.9", values,
            lambda shape=shape: [design("wang_tsiatis", looks, shape=shape).bounds[-1] for looks in range(2, 6)], recalled=True,
        )  # fmt: skip
    yield exact(
        "sequential.haybittle-peto", "Haybittle–Peto ±3, last z of 5 looks", JT, 1.990,
        lambda: design("haybittle_peto", 5).bounds[-1], recalled=True,
    )  # fmt: skip


def _spending() -> Iterator[Figure]:
    for looks, values, recalled in (
        (5, (4.877, 3.357, 2.680, 2.290, 2.031), False), (4, (4.333, 2.963, 2.359, 2.014), True),
        (3, (3.710, 2.511, 1.993), False), (2, (2.963, 1.969), True),
    ):  # fmt: skip
        yield exact(
            f"sequential.lan-demets-obrien-fleming-{looks}", f"O'Brien–Fleming-like spending, one-sided 2.5%, {looks} looks",
            f"{LD}; rpact" if looks == 3 else LD, values,
            lambda looks=looks: design("spending", looks, 0.025, sides=1, spending="obrien_fleming").bounds, recalled=recalled,
        )  # fmt: skip
    yield exact(
        "sequential.lan-demets-pocock-5", "Pocock-like spending, one-sided 2.5%, 5 looks", LD,
        (2.438, 2.427, 2.410, 2.397, 2.386), lambda: design("spending", 5, 0.025, sides=1, spending="pocock").bounds,
    )  # fmt: skip
    yield exact(
        "sequential.gsdesign-bounds", "the default design of gsDesign: bounds, futility, maximum sample", GS,
        (3.01, 2.55, 2.00, -0.24, 0.94, 2.00, 1.070),
        lambda: [*_gsdesign().bounds, *_futility(), _gsdesign().maximum_information], 0.005,
    )  # fmt: skip
    yield exact(
        "sequential.gsdesign-sizes", "same: expected sample without and with the effect", GS, (0.6249, 0.7913),
        lambda: [_gsdesign().expected_information(multiple) for multiple in (0, 1)], 1e-4,
    )  # fmt: skip
    yield exact(
        "sequential.gsdesign-exits", "same: chance to pass at each look, without and with the effect", GS,
        (0.0013, 0.0049, 0.0171, 0.1412, 0.4403, 0.3185),
        lambda: np.concatenate([_gsdesign().exits(multiple * (_gsdesign().drift or 0)).upper for multiple in (0, 1)]), 1e-4,
    )  # fmt: skip

    more = "maximum sample, expected with and without the effect"
    yield exact(
        "sequential.hwang-shih-decani",
        f"Hwang–Shih–DeCani spending, γ = 0, one-sided 3%, power 86%, looks at .2, .4, 1: bounds; {more}", RPACT,
        (2.51214, 2.42287, 2.02804, 1.07883, 0.83081, 1.06977),
        lambda: _spent(alpha=0.03, power=0.86, information=[0.2, 0.4, 1], spending="hwang_shih_decani", gamma=0), 1e-4,
    )  # fmt: skip
    yield exact(
        "sequential.kim-demets",
        f"Kim–DeMets spending, exponents 2.2, 3.2, one-sided 3%, power 66%, looks at .3, .7, 1: bounds, futility; {more}",
        RPACT, (2.85940, 2.24357, 1.97357, -1.15584, 0.72837, 1.05559, 0.86741, 0.75481),
        lambda: _spent(
            alpha=0.03, power=0.66, information=[0.3, 0.7, 1], spending="kim_demets", rho=2.2, futility="kim_demets",
            futility_rho=3.2,
        ), 1e-4,
    )  # fmt: skip


def _spent(**rule: Any) -> list[float]:
    plan = design("spending", 3, sides=1, **rule)
    futility = () if plan.futility is None else plan.futility[:-1]
    return [*plan.bounds, *futility, plan.maximum_information, *(plan.expected_information(multiple) for multiple in (1, 0))]


@cache
def _gsdesign() -> Any:
    families: dict[str, Any] = {"spending": "hwang_shih_decani", "futility": "hwang_shih_decani"}
    return design("spending", 3, 0.025, 0.9, 1, gamma=-4, futility_gamma=-2, **families)


def _futility() -> list[float]:
    return list(_gsdesign().futility)


def _sizes() -> Iterator[Figure]:
    yield exact(
        "sequential.pocock-sizes",
        "Pocock, 4 looks, power 90%, % of the fixed sample: maximum, expected without and with effect",
        "SAS/STAT SEQDESIGN example", (118.3, 115.6, 69.7), lambda: _percent("pocock", 4, (None, 0, 1)), 0.1,
    )  # fmt: skip
    yield exact(
        "sequential.obrien-fleming-sizes",
        "O'Brien–Fleming, 5 looks, power 90%, % of the fixed sample: maximum, expected with effect",
        JT, (102.65, 75.0), lambda: _percent("obrien_fleming", 5, (None, 1)), 0.1, recalled=True,
    )  # fmt: skip
    for kind, title, table, values in (
        ("pocock", "Pocock", "Table 2.2", (1.110, 1.166, 1.202, 1.229, 1.100, 1.151, 1.183, 1.207)),
        ("obrien_fleming", "O'Brien–Fleming", "Table 2.4", (1.008, 1.017, 1.024, 1.028, 1.007, 1.016, 1.022, 1.026)),
    ):
        yield exact(
            f"sequential.{kind.replace('_', '-')}-inflation",
            f"{title} maximum over fixed sample, power 80% and 90%, 2 to 5 looks",
            f"{JT}, {table}", values,
            lambda kind=kind: [
                design(kind, looks, power=power).maximum_information for power in (0.8, 0.9) for looks in range(2, 6)
            ],
            recalled=True,
        )  # fmt: skip


def _percent(kind: Any, looks: int, multiples: tuple[float | None, ...]) -> list[float]:
    plan = design(kind, looks, power=0.9)
    return [
        100 * (plan.maximum_information if multiple is None else plan.expected_information(multiple)) for multiple in multiples
    ]


def _stopping() -> Iterator[Figure]:
    what = "median-unbiased estimate, 95% interval"
    for kind, title, values in (
        ("obrien_fleming", "O'Brien–Fleming", (0.452, 0.157, 0.748)), ("pocock", "Pocock", (0.419, 0.074, 0.729)),
    ):  # fmt: skip
        yield exact(
            f"sequential.unbiased-{kind.replace('_', '-')}",
            f"{title}, 4 looks at 22 outcomes each, z = 3 at the second: {what}",
            "tests of DelayedGSD, after Wassmer & Brannath 2016, §4.1", values,
            lambda kind=kind: [estimate / np.sqrt(4 * 22) for estimate in _stopped(design(kind, 4), 2, 3.0)],
        )  # fmt: skip
    yield exact(
        "sequential.unbiased-rate", f"one-sided Kim–DeMets, 9 of 20 for a rate of 75% at the second look, .4 of all: {what}",
        RPACT, (0.40682, 0.18821, 0.62662), _unbiased_rate, 1e-4,
    )  # fmt: skip
    yield exact(
        "sequential.interval-pocock", "Pocock, 3 looks, z = 2.5 at the second: 95% interval of the last look's mean z",
        "GroupSeq manual, task 4", (0.30, 5.38), lambda: _stopped(design("pocock", 3), 2, 2.5)[1:], 0.005,
    )  # fmt: skip


def _stopped(plan: Any, look: int, z: float) -> list[float]:
    lower = -plan.bounds if plan.sides == 2 else np.full(plan.bounds.shape, -np.inf)
    estimates = median_unbiased(plan.information, lower, plan.bounds, [look], [z])
    return [float(values[0]) for values in (estimates.estimate, estimates.lower, estimates.upper)]


def _unbiased_rate() -> list[float]:
    """Estimate and interval of the rate: z uses the variance at the rate of 75%, the estimate that at the observed rate."""
    plan = design("spending", 4, 0.025, sides=1, information=[0.2, 0.4, 0.8, 1], spending="kim_demets", rho=2.8)
    middle, low, high = _stopped(plan, 2, (0.75 - 0.45) / np.sqrt(0.75 * 0.25 / 20))
    return [0.75 - drift * np.sqrt(0.4 * 0.45 * 0.55 / 20) for drift in (middle, high, low)]


def _sprt() -> Iterator[Figure]:
    yield exact(
        "sequential.sprt", "SPRT at 5% and 5%, mean over fixed sample: no effect, half of it, the effect (no overshoot)", WALD,
        (0.490, 0.801, 0.490), lambda: sprt.expected_sample_ratio([0, 0.5, 1], alpha=0.05, beta=0.05),
    )  # fmt: skip
    yield exact(
        "sequential.sprt-1", "SPRT at 1% and 1%, percentage saved, no effect", f"{WALD}, table of average savings", 58,
        lambda: 100 * (1 - sprt.expected_sample_ratio(0, alpha=0.01, beta=0.01)), 0.5, recalled=True,
    )  # fmt: skip
    yield exact(
        "sequential.sprt-characteristic",
        "SPRT at 5% and 5%, chance to accept that there is none: at no effect, half of it, the effect",
        f"{WALD}, ch. 3", (0.95, 0.5, 0.05), lambda: sprt.acceptance_probability([0, 0.5, 1], alpha=0.05, beta=0.05),
    )  # fmt: skip
