"""Figures of tests with one look at a planned sample: sizes, power, error, several challengers, margins; and intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import numpy as np

from sim.policy.base import Verdict
from sim.stats.dunnett import dunnett_critical
from sim.stats.exaggeration import exaggeration
from sim.stats.intervals import proportion_interval
from sim.stats.power import power, sample_size
from sim.stats.rank import mann_whitney
from sim.stats.two_sample import two_sample
from sim.verify.figure import Figure, exact, played
from sim.verify.rehearsal import Trials, converts, measured, rehearse, scenario_of, share, some, test_by

KOHAVI = "Kohavi, Longbotham, Sommerfield & Henne 2009, §3.2"
DUNNETT = "Dunnett 1955, Table 1"
CHOW = "Chow, Shao & Wang 2008, p. 58, 61, 89, 90, as on powerandsamplesize.com"
WILSON = "Newcombe 1998, Table I (Wilson's method)"
STUDENT = "Student 1908, as tested in the examples of the R package afex"
DESIGN = "by design (Casella & Berger 2002, 8.3)"

BASE, MDE = 0.5, 0.0005
SPARE = 1.001
TICKS = 20

SLEEP = np.array([[0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0], [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]])
"""Hours of sleep gained by two drugs."""


def figures() -> Iterator[Figure]:
    """All figures of this field."""
    yield exact(
        "fixed.sample-size", "outcomes an arm, 5%, power 80% and 90%, in variances over squared effect",
        "normal theory", (15.70, 21.01),
        lambda: [sample_size("means", sd=1, effect=1, power=target) for target in (0.8, 0.9)], 0.005,
    )  # fmt: skip
    yield exact(
        "fixed.web-conversion",
        "users an arm, in thousands: conversion 5%, a change of 5%, 80% (by their rule of 16: within 2%)",
        KOHAVI, 121.6, lambda: sample_size("proportions", baseline=0.05, effect=0.0025) / 1000, 2.5, recalled=True,
    )  # fmt: skip
    yield exact(
        "fixed.web-spend",
        "users an arm, in thousands: $3.75 spent, sd $30, a change of 5%, 80% (by their rule of 16: within 2%)",
        KOHAVI, 409.6, lambda: sample_size("means", sd=30, effect=0.05 * 3.75) / 1000, 8.2, recalled=True,
    )  # fmt: skip
    yield exact(
        "fixed.sizes", "outcomes an arm, power 80%, 5%: means 5 apart, sd 10; 85% for 65%, two-sided and one-sided",
        CHOW, (63, 70, 55), lambda: [
            math.ceil(sample_size("means", sd=10, effect=5)),
            *(math.ceil(sample_size("proportions", baseline=0.65, effect=0.2, sides=sides)) for sides in (2, 1)),
        ], 0.5,
    )  # fmt: skip
    yield exact(
        "fixed.sizes-margin", "outcomes an arm, power 80%, not inferior at 5%: by 5, sd 10; by 10 points, 85% for 65%",
        CHOW, (50, 25), lambda: [
            math.ceil(sample_size("means", sd=10, hypothesis="non_inferiority", margin=5)),
            math.ceil(sample_size("proportions", baseline=0.65, effect=0.2, hypothesis="non_inferiority", margin=0.1)),
        ], 0.5,
    )  # fmt: skip
    yield exact(
        "fixed.welch", "two drugs against sleeplessness: Welch's t, degrees of freedom, p in percent", STUDENT,
        (-1.861, 17.78, 7.939), _welch, 0.005,
    )  # fmt: skip
    yield exact(
        "fixed.mann-whitney", "same: Mann–Whitney's U, p in percent by the normal limit with ties", STUDENT, (25.5, 6.933),
        lambda: [float(mann_whitney(*SLEEP).u), 100 * float(mann_whitney(*SLEEP).p_value)],
    )  # fmt: skip
    yield from _dunnett()
    for successes, n, lower, upper in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        yield exact(
            f"fixed.interval-{successes}-{n}", f"95% interval of {successes} in {n}", WILSON, (lower, upper),
            lambda successes=successes, n=n: _bounds(successes, n), 1e-4, recalled=True,
        )  # fmt: skip
    yield exact(
        "fixed.type-s-m", "true effect 2, standard error 8.1: power, type S", "Gelman & Carlin 2014", (0.057, 0.24),
        lambda: [float(exaggeration(2, 8.1).power), float(exaggeration(2, 8.1).type_s)], 0.005,
    )  # fmt: skip
    yield exact(
        "fixed.type-m", "same: type M", "Gelman & Carlin 2014", 9.5, lambda: exaggeration(2, 8.1).type_m, 0.05
    )  # fmt: skip
    yield from _played()


def _welch() -> list[float]:
    first, second = ((hours.size, hours.sum(), (hours * hours).sum()) for hours in SLEEP)
    result = two_sample("welch", *second, *first)
    return [float(result.statistic), float(result.degrees_of_freedom), 100 * float(result.p_value)]


def _dunnett() -> Iterator[Figure]:
    for degrees, title, values in (
        (np.inf, "∞", (1.92, 2.06, 2.16, 2.23, 2.29, 2.34, 2.38, 2.42)),
        (20, "20", (2.03, 2.19, 2.30, 2.39, 2.46, 2.51, 2.56, 2.60)),
    ):
        yield exact(
            f"fixed.dunnett-{'normal' if degrees == np.inf else degrees}",
            f"Dunnett's bound, one-sided 5%, 2 to 9 challengers, {title} degrees of freedom", DUNNETT, values,
            lambda degrees=degrees: [
                dunnett_critical([0.5] * count, sides=1, degrees_of_freedom=degrees) for count in range(2, 10)
            ],
            0.0051,
        )  # fmt: skip
    yield exact(
        "fixed.dunnett-two-sided", "Dunnett's bound, two-sided 5%, 2 to 9 challengers, ∞ degrees of freedom",
        "Dunnett 1964, Table II", (2.21, 2.35, 2.44, 2.51, 2.57, 2.61, 2.65, 2.69),
        lambda: [dunnett_critical([0.5] * count) for count in range(2, 10)], 0.0051, recalled=True,
    )  # fmt: skip


def _bounds(successes: int, n: int) -> list[float]:
    interval = proportion_interval(successes, n)
    assert interval.lower is not None
    assert interval.upper is not None
    return [interval.lower, interval.upper]


def _played() -> Iterator[Figure]:
    error, declared = "error in A/A tests", partial(_share, of="declared")
    shipped, kept = partial(_share, of="ship"), partial(_share, of="keep")
    even, uneven = {"split": ("50%", "50%")}, {"split": ("80%", "20%")}
    for name, title, split in (("even", "", even), ("uneven", ", split 80/20", uneven)):
        yield played(
            f"fixed.play-error-{name}", f"z test at 5%{title}: {error}", DESIGN, 0.05,
            lambda quick, split=split: declared(_trials(quick, 0, **split), 0.05),
        )  # fmt: skip
        yield played(
            f"fixed.play-power-{name}", f"z test at 5%{title}: power", DESIGN, 0.8,
            lambda quick, split=split: shipped(_trials(quick, 1, **split), 0.8),
        )  # fmt: skip
    yield played(
        "fixed.play-power-half", "z test of power 80%, at half of the planned effect: power", "normal theory",
        lambda: power(15.698, "means", sd=1, effect=0.5), lambda quick: shipped(_trials(quick, 0.5), 0.2882),
    )  # fmt: skip
    yield played(
        "fixed.play-error-requests", "Welch test of amounts at 5%, request by request: error in A/A tests", DESIGN, 0.05,
        lambda quick: declared(_by_request(quick), 0.05),
    )  # fmt: skip
    for correction, source, published in (
        ("dunnett", "by design (Dunnett 1955)", 0.05), ("holm", "integral of Dunnett 1955 at Bonferroni's bound", 0.0445),
    ):  # fmt: skip
        yield played(
            f"fixed.play-family-{correction}", f"three challengers, {correction.title()}: error of the family in A/A tests",
            source, published,
            lambda quick, correction=correction, published=published: declared(_family(quick, correction), published),
        )  # fmt: skip
    for hypothesis, source in (("non_inferiority", "Blackwelder 1982"), ("equivalence", "Schuirmann 1987")):
        title = hypothesis.replace("_", "-")
        yield played(
            f"fixed.play-{title}-power", f"{title} at 5%: chance to pass a challenger that is the same", f"{source}: by design",
            0.8, lambda quick, hypothesis=hypothesis: shipped(_margin(quick, hypothesis, 0), 0.8),
        )  # fmt: skip
        yield played(
            f"fixed.play-{title}-error", f"{title} at 5%: chance to pass a challenger that is worse by the margin",
            f"{source}: by design", 0.05, lambda quick, hypothesis=hypothesis: shipped(_margin(quick, hypothesis, -1), 0.05),
        )  # fmt: skip
    yield played(
        "fixed.play-low-power", "true effect 2, standard error 8.1: significant tests", "Gelman & Carlin 2014", 0.057,
        lambda quick: declared(_weak(quick), 0.057),
    )  # fmt: skip
    yield played(
        "fixed.play-type-s", "same: those of the wrong sign, among all tests (power times type S)", "Gelman & Carlin 2014",
        0.0137, lambda quick: kept(_weak(quick), 0.0137),
    )  # fmt: skip
    yield played(
        "fixed.play-type-m", "same: exaggeration, the mean size of significant effects over that of the true one",
        "Gelman & Carlin 2014; closed form: Lu, Qiu & Deng 2019", lambda: float(exaggeration(2, 8.1).type_m),
        lambda quick: measured("exaggeration", _weak(quick)),
    )  # fmt: skip


def _share(trials: Trials, expected: float, of: str) -> Any:
    happened = trials.declared
    if of == "ship":
        happened = trials.verdict(Verdict.SHIP)
    elif of == "keep":
        happened = happened & trials.verdict(Verdict.KEEP)
    return share(happened, expected)


@cache
def _trials(quick: bool, effect: float, split: tuple[str, str] = ("50%", "50%")) -> Trials:
    """Trials of a test of power 80%. Its sample is complete at the end of the last tick, and not before."""
    first = float(split[0].rstrip("%")) / 100
    sample = sample_size("proportions", baseline=BASE, effect=BASE * MDE)
    requests = sample / 2 / (first * (1 - first)) / TICKS * SPARE
    policy = test_by({"kind": "fixed_horizon", "mde": MDE}, split=split)
    scenario = scenario_of(f"fixed-{split[1].rstrip('%')}-{effect * 10:g}", 2, some(40_000, quick), TICKS, requests, [policy])
    return rehearse(scenario, converts(BASE, BASE * (1 + MDE * effect)))["test"]


@cache
def _by_request(quick: bool) -> Trials:
    scenario = scenario_of(
        "fixed-requests", 2, some(20_000, quick), 2, 1000, [test_by({"kind": "fixed_horizon", "sample": 800})],
        engine="compiled", metrics=[{"name": "amount", "role": "primary"}],
    )  # fmt: skip
    return rehearse(scenario, [{"outcomes": {"amount": {"gamma": {"mean": 10, "sd": 5}}}}] * 2)["test"]


@cache
def _family(quick: bool, correction: str) -> Trials:
    policy = test_by({"kind": "fixed_horizon", "sample": 1_000_000, "correction": correction})
    scenario = scenario_of(f"family-{correction}", 4, some(40_000, quick), 1, 4.02e6, [policy])
    return rehearse(scenario, converts(*[BASE] * 4))["test"]


@cache
def _margin(quick: bool, hypothesis: Any, multiple: float) -> Trials:
    sample = sample_size("proportions", baseline=BASE, hypothesis=hypothesis, margin=BASE * MDE)
    policy = test_by({"kind": "fixed_horizon", "hypothesis": hypothesis, "margin": MDE})
    name = f"{hypothesis}-{'same' if multiple == 0 else 'worse'}".replace("_", "-")
    scenario = scenario_of(name, 2, some(40_000, quick), 1, 2 * sample * SPARE, [policy])
    return rehearse(scenario, converts(BASE, BASE * (1 + MDE * multiple)))["test"]


@cache
def _weak(quick: bool) -> Trials:
    """Trials with a true effect of 2 / 8.1 standard errors, which are √(2 p (1 − p) / n) at n outcomes per arm."""
    sample = 1e8
    effect = 2 / 8.1 * np.sqrt(2 * BASE * (1 - BASE) / sample)
    policy = test_by({"kind": "fixed_horizon", "sample": round(sample / SPARE)})
    scenario = scenario_of("weak", 2, some(100_000, quick), 1, 2 * sample, [policy])
    return rehearse(scenario, converts(BASE, BASE + effect))["test"]
