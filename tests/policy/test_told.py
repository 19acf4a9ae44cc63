"""What policies and their parts say of themselves in a report."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from sim.policy.base import Allocation, Evidence, Guardrail, Part, View
from sim.policy.catalogue import families
from sim.policy.forms import AB, Canary, Chain, Form, Hold, Shadow, Switch
from sim.policy.setting import Setting
from sim.testing.settings import make_setting

SETTING = make_setting(2, 10)
PARTS = [kind.part for family in families() for kind in family.shipped if issubclass(kind.part, Part)]
TEST = {"kind": "fixed_horizon", "sample": 1000}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_kind_that_ships_has_words_of_its_own(part: type[Part]) -> None:
    assert issubclass(part, Allocation | Evidence | Guardrail)
    assert part.told is not Part.told


def test_a_part_from_outside_is_told_by_its_kind_and_all_its_settings() -> None:
    class Cautious(Allocation):
        kind: Literal["cautious"] = "cautious"
        most: float = 0.2

        def live(self, view: View) -> Any:
            return np.zeros(view.arms_in.shape)

    assert Cautious().told(SETTING) == "uses cautious (most 0.2)"


def told(form: Form, others: dict[str, Form] | None = None, setting: Setting = SETTING) -> tuple[str, ...]:
    return form.told(others or {}, setting)


def test_baselines_say_what_they_do_at_once() -> None:
    assert told(Switch(name="switch")) == (f"Ships {SETTING.arms[1]} to all users at once, without a look.",)
    assert told(Hold(name="hold")) == ("Keeps the champion, and never tries a challenger.",)


def test_a_canary_is_told_step_by_step_with_its_checks_and_its_end() -> None:
    canary = Canary.model_validate({
        "name": "canary", "steps": [{"weight": "5%", "bake": "1h"}, {"weight": "50%", "bake": "2h"}],
        "checks": [{"metric": "error_rate", "max": "1%", "trip": 2, "every": "30m", "min_requests": 20}],
    })  # fmt: skip
    (text,) = told(canary)
    assert text == (
        "Gives the challenger 5% of live traffic for 1h, then 50% for 2h. Passes a challenger that lasts for 3h. "
        "Stops a challenger whose error_rate is above 1% in 2 looks, one every 30m, of at least 20 answers. "
        "What passes ships, and if nothing does the champion is kept."
    )


@pytest.mark.parametrize(
    ("on", "said"),
    [
        ({"pass": "keep"}, "What passes is not shipped, and if nothing does the champion is kept."),
        ({"fail": "inconclusive"}, "What passes ships, and if nothing does it ends inconclusive."),
        ({"fail": "ship"}, "What passes ships, and if nothing does, what has not failed ships."),
        ({"inconclusive": "keep"}, "and if nothing does the champion is kept; what is in doubt is not shipped."),
    ],
)
def test_what_follows_is_what_the_stage_does(on: dict[str, str], said: str) -> None:
    (text,) = told(AB.model_validate({"name": "ab", "evidence": TEST, "on": on}))
    assert text.endswith(said)


def test_a_chain_is_told_stage_by_stage_and_says_where_each_leads() -> None:
    ab = AB.model_validate({"name": "ab", "evidence": TEST, "split": ["90%", "10%"], "max_duration": "2d"})
    shadow = {
        "name": "look",
        "kind": "shadow",
        "mirror": "10%",
        "duration": "6h",
        "checks": [{"metric": "error_rate", "max": 0.01}],
    }
    chain = Chain.model_validate({"name": "careful", "kind": "stages", "stages": [shadow, "ab"]})
    first, second = told(chain, {"ab": ab, "careful": chain})
    assert first.startswith("look: Answers users with the champion only, and copies 10% of live requests to the challenger.")
    assert first.endswith("What passes goes on to ab, and if nothing does the champion is kept.")
    assert second.startswith(f"ab: Splits live traffic, 90% to {SETTING.arms[0]} and 10% to {SETTING.arms[1]}.")
    assert "once as much is known as from 1,000 outcomes an arm" in second
    assert second.endswith("what is in doubt after 2d ends inconclusive.")
    assert isinstance(chain.stages[0], Shadow)


def test_a_sample_that_is_planned_is_the_one_that_is_played() -> None:
    ab = AB.model_validate({"name": "ab", "evidence": {"kind": "fixed_horizon", "mde": "2%"}})
    evidence = ab.own_stages()[0].evidence
    assert f"{evidence.planned_sample(SETTING):,} outcomes an arm, planned to find an effect of 2%" in told(ab)[0]  # type: ignore[attr-defined]
