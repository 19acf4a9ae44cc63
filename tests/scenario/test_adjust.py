"""Adjustments and covariates in a scenario file: what is refused, where and why, and which engine plays them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.engine.catalogue import choose
from sim.errors import InputError
from sim.policy.columns import CovariateMoment
from sim.run.plan import needs_of
from sim.scenario.reading import read
from sim.world.world import World
from tests.scenario.small import HEAD
from tests.worlds import behaves, make_replayed_world, make_scenario, make_world

TEXT = (
    HEAD
    + """\
metrics:
  - {name: revenue, role: primary%(metric)s}
  - {name: clicks}
policies:
  - name: ab
    kind: ab
    evidence: {kind: %(rule)s, mde: 2%%, adjust: {%(adjust)s}}
%(more)s
"""
)


def problems(tmp_path: Path, adjust: str, metric: str = "", more: str = "", rule: str = "fixed_horizon") -> list[str]:
    file = tmp_path / "scenario.yaml"
    file.write_text(TEXT % {"adjust": adjust, "metric": metric, "more": more, "rule": rule}, encoding="utf-8")
    try:
        read(file)
    except InputError as error:
        return [str(problem).removeprefix(f"{tmp_path}/") for problem in error.problems]
    return []


USERS = "users: {count: 1000, similarity: 36%}"
SEGMENTS = "segments: [{name: a, share: 40%}, {name: b, share: 60%}]"


@pytest.mark.parametrize("rule", ["fixed_horizon", "group_sequential", "mixture_sprt", "confidence_sequence", "sprt"])
@pytest.mark.parametrize(
    ("adjust", "metric", "more"),
    [
        ("kind: cuped", ", covariate: {correlation: 60%}", ""),
        ("kind: cuped", ", covariate: {correlation: 60%}", USERS),
        ("kind: cluster", "", USERS),
        ("kind: winsorise, at: 99.9%", "", ""),
        ("kind: ratio, over: clicks", "", ""),
        ("kind: stratify", "", SEGMENTS),
    ],
)
def test_every_rule_takes_every_adjustment(tmp_path: Path, rule: str, adjust: str, metric: str, more: str) -> None:
    assert problems(tmp_path, adjust, metric, more, rule) == []


@pytest.mark.parametrize(
    ("adjust", "metric", "more", "expected"),
    [
        ("kind: cluster", "", "", "adjust.kind: cluster needs `users`: without them every request is a user of its own"),
        ("kind: stratify", "", USERS, "evidence.adjust.kind: stratify needs `segments`"),
        ("kind: cuped", "", "", "adjust.kind: cuped needs a value known before: give the metric revenue a `covariate`"),
        ("kind: ratio, over: revenue", "", "", "adjust.over: must be another metric than the primary one, got 'revenue'"),
        ("kind: ratio, over: click", "", "", "adjust.over: no metric 'click' to divide by; there is clicks"),
        ("kind: ratio, over: clicks", ", delay: {constant: 1h}", "", "the feedback of revenue has a delay"),
        ("kind: winsorise, limit: 0", "", "", "adjust.limit: must be at least 1e-12; got 0"),
        ("kind: winsorise", "", "", "adjust.limit: is required: the cap in the metric's unit (or give `at`, a quantile)"),
        ("kind: cupid", "", "", "adjust.kind: must be one of cluster, cuped, ratio, stratify, winsorise; got 'cupid'"),
        ("kind: cuped", ", covariate: {correlation: 120%}", "", "metrics[0].covariate.correlation"),
        (
            "kind: cuped", ", covariate: {correlation: 70%}", USERS,
            "9:61 metrics[0].covariate.correlation: must not exceed the square root of users.similarity, 60%, got 70%",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_adjusted_is_refused_at_its_line(
    tmp_path: Path, adjust: str, metric: str, more: str, expected: str
) -> None:
    (found,) = problems(tmp_path, adjust, metric, more)
    assert expected in found
    assert found.startswith("scenario.yaml:")


@pytest.mark.parametrize("assignment", ["sticky", "request"])
def test_sample_ratios_of_users_are_checked_however_they_are_assigned(tmp_path: Path, assignment: str) -> None:
    more = "    checks: [{kind: sample_ratio}]\n"
    assert problems(tmp_path, "kind: cluster", "", more + USERS.replace("36%", f"36%, assignment: {assignment}")) == []


AMOUNT = {"revenue": {"lognormal": {"mean": 30.0, "sd": 20.0}}, "clicks": {"bernoulli": 0.3}}


def world_of(adjust: dict[str, Any], covariate: bool = True, **said: Any) -> tuple[Any, World]:
    past = {"covariate": {"correlation": 0.5}} if covariate else {}
    metrics = [{"name": "revenue", "role": "primary", **past}, {"name": "clicks"}]
    policies = [{"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 5000, "adjust": adjust}}]
    scenario = make_scenario(metrics=metrics, policies=policies, **said)
    return scenario, make_world(scenario, [behaves(outcomes=AMOUNT)] * 2)


@pytest.mark.parametrize("adjust", [{"kind": "cuped"}, {"kind": "winsorise", "at": "99%"}, {"kind": "ratio", "over": "clicks"}])
def test_what_takes_single_requests_is_played_by_events(adjust: dict[str, Any]) -> None:
    scenario, world = world_of(adjust)
    needs = needs_of(scenario, world)
    assert choose("auto", world).name == "aggregate"
    assert choose("auto", world, needs).name == "compiled"
    with pytest.raises(
        InputError, match=r"engine: aggregate cannot play this: adjust: revenue.* takes single requests to tell"
    ):
        choose("aggregate", world, needs)


def test_sums_over_users_that_could_overflow_are_refused() -> None:
    users = {"count": 3, "assignment": "request"}
    scenario, world = world_of({"kind": "cluster"}, False, users=users, traffic={"rate": "2000/s"}, horizon="10d")
    with pytest.raises(InputError, match=r"metrics.revenue.grid: squares of what users add up to .* take a coarser grid"):
        choose("auto", world, needs_of(scenario, world))


def test_a_replayed_model_has_a_past_in_its_data() -> None:
    metrics = [{"name": "revenue", "role": "primary", "reward": {"column": "price"}, "covariate": {"correlation": 0.5}}]
    policies = [{"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 500, "adjust": {"kind": "cuped"}}}]
    scenario = make_scenario(metrics=metrics, policies=policies, data={"sklearn": "digits"})
    world = make_replayed_world(scenario, {"revenue": [[1.0, 2.0], [3.0, 3.0], [8.0, 1.0]]}, [[1, 1], [1, 0], [1, 0]])
    agent = scenario.policies[0].build({}, scenario.arms)
    assert CovariateMoment("revenue", "cross") in agent.needs(world.setting(1))
