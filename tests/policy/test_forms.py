"""Short forms and chains: what they expand to, and where in the file a problem is said to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sim.policy.allocation import Fixed, Mirror, Ramp, Thompson
from sim.policy.base import Verdict
from sim.policy.columns import Column, Count, mean_of
from sim.policy.evidence import FixedHorizon, Posterior, Survive
from sim.policy.forms import AnyPolicy, Form, declared_problems, expand
from sim.policy.setting import Setting
from sim.policy.stages import Stage
from sim.testing.settings import make_setting

READER: TypeAdapter[Any] = TypeAdapter(AnyPolicy)
TEST = {"kind": "fixed_horizon", "sample": 1000}
ERRORS = {"metric": "error_rate", "max": "1%"}
SWITCH = {"name": "now", "kind": "switch"}
HOLD = {"name": "never", "kind": "hold"}
AB = {"name": "ab", "kind": "ab", "evidence": TEST}
BANDIT = {"name": "bandit", "kind": "bandit"}
CANARY = {"name": "canary", "kind": "canary", "steps": [{"weight": "5%", "bake": "1h"}], "checks": [ERRORS]}
SHADOW = {"name": "shadow", "kind": "shadow", "duration": "1d", "mirror": "50%", "checks": [ERRORS]}
ALL = (SWITCH, HOLD, AB, BANDIT, CANARY, SHADOW)


def chain(*links: Any, name: str = "chain") -> dict[str, Any]:
    return {"name": name, "kind": "stages", "stages": list(links)}


def read(*said: Mapping[str, Any]) -> dict[str, Form]:
    return {each["name"]: READER.validate_python(each) for each in said}


def stages_of(said: Mapping[str, Any], *more: Mapping[str, Any], setting: Setting | None = None) -> list[Stage]:
    others = read(said, *more)
    expanded = expand(others[said["name"]], others)
    return [stage.completed(setting or make_setting()) for stage in expanded]


def wrong(said: Mapping[str, Any], *more: Mapping[str, Any], arms: int = 2) -> list[tuple[str, str]]:
    others = read(said, *more)
    return declared_problems(others[said["name"]], others, make_setting(arms))


class TestExpansion:
    def test_ab_is_one_stage_at_fixed_weights_with_a_test(self) -> None:
        more = {"split": ["80%", "20%"], "checks": [ERRORS], "max_duration": "7d", "on": {"inconclusive": "keep"}}
        (stage,) = stages_of({**AB, **more})
        assert stage.name == "ab"
        assert stage.allocation == Fixed(weights=(0.8, 0.2))
        assert stage.evidence == FixedHorizon(sample=1000)
        assert stage.max_duration == 7 * 86400
        assert len(stage.checks) == 1
        assert (stage.on.passed, stage.on.fail, stage.on.inconclusive) == ("next", "keep", "keep")

    def test_a_bandit_is_thompson_until_the_posterior_is_sure(self) -> None:
        (stage,) = stages_of(BANDIT)
        assert stage.allocation == Thompson()
        assert stage.evidence == Posterior()

    def test_a_canary_is_one_ramp_that_must_be_survived(self) -> None:
        steps = [{"weight": "5%", "bake": "1h"}, {"weight": "50%", "bake": "30m"}]
        (stage,) = stages_of({**CANARY, "steps": steps})
        assert stage.allocation == Ramp.model_validate({"steps": steps})
        assert stage.evidence == Survive(duration="1h30m")

    def test_a_shadow_mirrors_for_its_duration(self) -> None:
        (stage,) = stages_of(SHADOW)
        assert stage.allocation == Mirror(fraction=0.5)
        assert stage.evidence == Survive(duration="1d")

    def test_baselines_have_no_stages(self) -> None:
        for said, expected in (
            (SWITCH, (Verdict.SHIP, "a")),
            ({**SWITCH, "arm": "b"}, (Verdict.SHIP, "b")),
            (HOLD, (Verdict.KEEP, "champion")),
        ):
            (form,) = read(said).values()
            policy = form.build({}, ("champion", "a", "b"))
            assert (policy.stages, policy.immediate) == ((), expected)

    def test_telemetry_is_only_asked_for_where_something_reads_it(self) -> None:
        def needs(said: Mapping[str, Any], arms: int = 2) -> set[Column]:
            setting = make_setting(arms)
            (form,) = read(said).values()
            return set(form.build({}, setting.arms).needs(setting))

        tallies = set(mean_of("conversion"))
        errors = {Count("responses"), Count("errors")}
        assert needs(AB) == tallies
        assert needs(CANARY) == errors
        assert needs(CANARY, arms=3) == errors | tallies
        assert needs(SHADOW) == errors | {column.as_mirrored() for column in errors}


class TestChains:
    def test_of_references_inline_forms_and_whole_stages_in_order(self) -> None:
        whole = {"allocation": {"kind": "epsilon_greedy"}, "evidence": {"kind": "posterior"}}
        inline = {"name": "second", "kind": "bandit"}
        said = chain("shadow", "canary", inline, whole, {**whole, "name": "last"})
        assert [stage.name for stage in stages_of(said, *ALL)] == ["shadow", "canary", "second", "chain-4", "last"]

    def test_of_chains(self) -> None:
        early = chain("shadow", "canary", name="early")
        assert [stage.name for stage in stages_of(chain("early", "ab"), early, *ALL)] == ["shadow", "canary", "ab"]

    def test_good_policies_have_no_problems(self) -> None:
        early = chain("shadow", "canary", name="early")
        late = chain("early", {**AB, "name": "test", "on": {"fail": "canary"}}, name="late")
        for said in (*ALL, early, late):
            assert wrong(said, *ALL, early, late) == []

    @pytest.mark.parametrize(
        ("said", "key", "words"),
        [
            (
                chain("canari"),
                "stages[0]",
                "no policy 'canari' to take stages from; there are now, never, ab, bandit, canary, sh",
            ),
            (chain("ab", "never"), "stages[1]", "'never' is a hold, which has no stages"),
            (chain("now"), "stages[0]", "'now' is a switch, which has no stages"),
            (chain("ab", "chain"), "stages[1]", "'chain' leads back to 'chain'"),
            (chain("ab", "ab"), "stages[1]", "the stages of 'ab' are there already, and two cannot be called alike"),
            (chain({**BANDIT, "name": "ab"}, "ab"), "stages[1]", "two stages are called 'ab'"),
            (chain("ab", {**BANDIT, "name": "ab"}), "stages[1].name", "two stages are called 'ab'"),
            (chain({**AB, "name": "ship"}), "stages[0].name", "cannot be called 'ship'"),
            ({**AB, "name": "next"}, "name", "cannot be called 'next'"),
            ({**CANARY, "on": {"pass": "ab"}}, "on.pass", "no stage 'ab'; there are ship, keep, inconclusive, next, canary"),
            (chain("ab", {**BANDIT, "on": {"inconclusive": "x"}}), "stages[1].on.inconclusive", "no stage 'x'; there are"),
        ],
    )
    def test_what_leads_nowhere_is_refused(self, said: dict[str, Any], key: str, words: str) -> None:
        ((path, message),) = wrong(said, *[each for each in ALL if each["name"] != said["name"]])
        assert path == key
        assert words in message

    def test_a_cycle_is_said_where_it_is_and_nowhere_else(self) -> None:
        one, two, outside = chain("two", name="one"), chain("one", name="two"), chain("one", name="outside")
        assert wrong(one, two, outside) == [("stages[0]", "'two' leads back to 'one'")]
        assert wrong(two, one, outside) == [("stages[0]", "'one' leads back to 'two'")]
        assert wrong(outside, one, two) == []

    def test_chains_that_double_at_every_step_are_refused_where_they_do(self) -> None:
        doubled = [{**AB, "name": "p0"}, *(chain(f"p{step}", f"p{step}", name=f"p{step + 1}") for step in range(60))]
        ((key, message),) = wrong(doubled[-1], *doubled[:-1])
        assert key == "stages[1]"
        assert message.startswith("the stages of 'p59' are there already")
        assert wrong(chain("p60"), *doubled) == []

    def test_what_two_chains_share_is_refused(self) -> None:
        one, two = chain("shadow", "canary", name="one"), chain("ab", "shadow", name="two")
        ((key, message),) = wrong(chain("one", "two"), one, two, *ALL)
        assert (key, message.split(" are")[0]) == ("stages[1]", "the stages of 'shadow'")

    def test_after_a_chain_of_two_the_path_is_still_that_of_the_file(self) -> None:
        early = chain("shadow", "canary", name="early")
        ((key, _),) = wrong(chain("early", {**AB, "on": {"pass": "nowhere"}}), early, *ALL[3:])
        assert key == "stages[1].on.pass"

    def test_a_problem_of_a_named_policy_is_said_once_where_it_stands(self) -> None:
        bad = {**CANARY, "steps": [{"weight": "5%", "bake": "7m"}]}
        assert [key for key, _ in wrong(bad)] == ["steps[0].bake"]
        assert wrong(chain("canary"), bad) == []


class TestPlaces:
    @pytest.mark.parametrize(
        ("said", "key", "words"),
        [
            ({**SWITCH, "arm": "c"}, "arm", "no challenger 'c'; there is a"),
            ({**SWITCH, "arm": "champion"}, "arm", "no challenger 'champion'"),
            ({**AB, "split": ["50%", "30%", "20%"]}, "split", "one share for each of the 2 arms, got 3"),
            ({**AB, "split": ["50%", "30%"]}, "split", "must sum to 100%"),
            ({**AB, "evidence": {"kind": "fixed_horizon"}}, "evidence.mde", "is required"),
            ({**AB, "checks": [{**ERRORS, "every": "7m"}]}, "checks[0].every", "ticks of 10m, got 7m"),
            ({**BANDIT, "allocation": {"kind": "thompson", "floor": "60%"}}, "allocation.floor", "must not exceed 100%"),
            ({**BANDIT, "allocation": {"kind": "mirror"}}, "evidence.kind", "posterior reads users' reactions"),
            ({**BANDIT, "evidence": {"kind": "survive"}}, "evidence.duration", "is required"),
            ({**CANARY, "steps": [{"weight": "5%", "bake": "7m"}]}, "steps[0].bake", "ticks of 10m, got 7m"),
            ({**CANARY, "checks": [{"metric": "clicks", "min": 1}]}, "checks[0].metric", "no metric 'clicks'"),
            ({**CANARY, "checks": [{"metric": "agreement", "min": 1}]}, "checks[0].metric", "where calls are mirrored"),
            ({**CANARY, "on": {"fail": "next"}}, "on.fail", "no challenger is left to go on to 'next'"),
            ({**CANARY, "on": {"fail": "ship"}}, "on.fail", "no challenger is left to ship"),
            ({**SHADOW, "duration": "7m"}, "duration", "ticks of 10m, got 7m"),
            ({**SHADOW, "checks": [{"metric": "revenue", "min": 1}]}, "checks[0].metric", "cannot see users' revenue"),
        ],
    )
    def test_a_problem_is_said_at_the_key_of_the_file(self, said: dict[str, Any], key: str, words: str) -> None:
        for path, policy in (("", said), ("stages[0].", chain(said))):
            if said["kind"] in ("switch", "hold") and path:
                continue
            ((found, message),) = wrong(policy)
            assert found == path + key
            assert words in message

    def test_a_whole_stage_keeps_its_own_keys(self) -> None:
        whole = {"allocation": {"kind": "fixed", "weights": ["50%", "30%"]}, "evidence": TEST}
        ((key, _),) = wrong(chain("ab", whole), AB)
        assert key == "stages[1].allocation.weights"


class TestReading:
    @pytest.mark.parametrize(
        ("said", "where"),
        [
            ({"name": "x", "kind": "abc"}, "abc"),
            ({**AB, "split": ["50%", "150%"]}, "150%"),
            ({**AB, "name": "a b"}, "name"),
            ({**AB, "spilt": []}, "spilt"),
            ({**CANARY, "checks": []}, "checks"),
            ({**CANARY, "steps": []}, "steps"),
            (chain(HOLD), "hold"),
            (chain(), "stages"),
            ({**SHADOW, "mirror": 0}, "mirror"),
        ],
    )
    def test_what_cannot_be_read_is_refused_by_name(self, said: dict[str, Any], where: str) -> None:
        with pytest.raises(ValidationError, match=where):
            READER.validate_python(said)

    def test_a_policy_is_written_as_it_was_read(self) -> None:
        whole = {"allocation": {"kind": "epsilon_greedy", "epsilon": "5%"}, "evidence": TEST, "max_duration": "90m"}
        for said in (*ALL, chain("ab", CANARY, {**whole, "on": {"pass": "keep"}})):
            form = READER.validate_python(said)
            for _ in range(2):
                written = form.model_dump(mode="json", by_alias=True)
                assert READER.validate_python(written) == form
                form = READER.validate_python(written)
