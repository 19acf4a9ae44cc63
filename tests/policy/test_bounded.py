"""Parts that need outcomes between two bounds."""

from __future__ import annotations

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
