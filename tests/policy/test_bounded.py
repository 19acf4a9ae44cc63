"""Parts that need outcomes between two bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sim.policy.allocation import KlUcb, Ucb1
from sim.policy.base import Part
from sim.policy.evidence import Betting
from sim.testing.settings import make_setting


@pytest.mark.parametrize("kind", [Betting, KlUcb, Ucb1])
@pytest.mark.parametrize(
    ("primary", "said", "key", "words"),
    [
        ("conversion", {}, None, ""),
        ("conversion", {"highest": 1}, "highest", "not binary, got 1"),
        ("revenue", {}, "highest", "is required, as revenue is not binary"),
        ("revenue", {"highest": 5, "lowest": 5}, "highest", "must exceed lowest (5), got 5"),
        ("cost", {"highest": 500}, None, ""),
    ],
)
def test_bounds_are_those_of_the_metric(
    kind: type[Part], primary: str, said: dict[str, Any], key: str | None, words: str
) -> None:
    found = kind.model_validate(said).problems(make_setting(primary=primary))
    assert [each for each, _ in found] == ([key] if key else [])
    assert all(words in message for _, message in found)


@pytest.mark.parametrize("kind", [Betting, KlUcb, Ucb1])
@pytest.mark.parametrize(
    ("failed", "said", "key"),
    [
        (None, {"lowest": 5, "highest": 90}, None),
        (0.0, {"highest": 90}, None),
        (0.0, {"lowest": 5, "highest": 90}, "lowest"),
        (-3.0, {"lowest": -3, "highest": 90}, None),
        (100.0, {"highest": 90}, "highest"),
    ],
)
def test_bounds_hold_failed_requests_too(kind: type[Part], failed: float | None, said: dict[str, Any], key: str | None) -> None:
    setting = make_setting(primary="revenue")
    revenue = replace(setting.metrics["revenue"], failed=failed)
    found = kind.model_validate(said).problems(replace(setting, metrics={**setting.metrics, "revenue": revenue}))
    assert [each for each, _ in found] == ([key] if key else [])
    assert all(f"must hold a failed request too, which counts as {failed:g}" in message for _, message in found)
