"""Rules that are told an amount, as a share of the champion's registered mean or in the metric's unit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim.policy.base import Evidence
from sim.policy.evidence import BayesFactor, ExpectedLoss, MixtureSprt, Rope
from sim.testing.settings import make_setting

RULES = [
    (BayesFactor, "expected_effect", "scale"),
    (ExpectedLoss, "threshold", "loss"),
    (MixtureSprt, "mde", "mixing_sd"),
    (Rope, "region", "width"),
]


@pytest.mark.parametrize(("rule", "share", "absolute"), RULES)
def test_exactly_one_of_the_two_is_given(rule: type[Evidence], share: str, absolute: str) -> None:
    cases = [
        ({}, share, f"is required: a share of the champion's registered mean (or give `{absolute}`"),
        ({share: "1%", absolute: 0.1}, absolute, "give one, got 0.1 and 0.01"),
    ]
    for said, key, words in cases:
        ((found, message),) = rule.model_validate(said).problems(make_setting())
        assert found == key
        assert words in message
    assert rule.model_validate({absolute: 0.1}).problems(make_setting()) == []


@pytest.mark.parametrize(("rule", "share", "absolute"), RULES)
def test_a_share_of_nothing_is_refused(rule: type[Evidence], share: str, absolute: str) -> None:
    setting = make_setting(primary="revenue")
    nothing = replace(setting, metrics={"revenue": replace(setting.metrics["revenue"], nominal_mean=0.0)})
    ((key, message),) = rule.model_validate({share: "1%"}).problems(nothing)
    assert key == share
    assert f"registered mean of revenue is 0: give `{absolute}` instead" in message
    assert rule.model_validate({absolute: 0.1}).problems(nothing) == []
