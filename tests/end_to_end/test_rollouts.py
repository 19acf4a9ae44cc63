"""Rollouts as controllers and people run them, from files: held weights, one count for all checks, approvals, slow ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.special import ndtr
from scipy.stats import poisson

from sim.cli import main

CASES = Path(__file__).parents[3] / "shared" / "cases"
CASE = CASES / "06-halt-advancement"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases stand beside the project")

RAMP = "steps: [{weight: 10%, bake: 1m}, {weight: 20%, bake: 1m}, {weight: 30%, bake: 1m}, {weight: 40%, bake: 1m}, "
RAMP += "{weight: 50%, bake: 1m}]"


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a store that has the models of the cases."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('cases') / 'mlflow.db'}"
    assert main(["models", "register", str(CASE / "models.yaml"), "--tracking-uri", uri]) == 0
    return uri


def case(number: str) -> str:
    """The text of a case's scenario."""
    (folder,) = CASES.glob(f"{number}-*")
    return (folder / "scenario.yaml").read_text(encoding="utf-8")


def scenario(policies: str, **keys: Any) -> str:
    """Two arms that are alike, under policies as a file writes them."""
    head = {
        "name": "rollout", "question": "What follows?", "seed": 3, "replications": 100, "horizon": "1h", "tick": "1m",
        "traffic": {"rate": "20/s"},
        "models": [
            {"arm": "champion", "uri": "models:/case-api@champion"}, {"arm": "challenger", "uri": "models:/case-api@same"},
        ],
        "metrics": [{"name": "ok", "role": "primary"}, {"name": "error_rate", "role": "guardrail", "max": "50%"}],
        **keys,
    }  # fmt: skip
    return f"{yaml.safe_dump(head, sort_keys=False)}policies:\n{policies}"


def trials(text: str, store: str, folder: Path, name: str = "rollout") -> pd.DataFrame:
    """One row a policy and replication of a scenario that is run from the command line."""
    file = folder / f"{name}.yaml"
    file.write_text(f"{text.rstrip()}\naa: false\nsensitivity: off\n", encoding="utf-8")
    out = folder / f"{name}-run"
    ran = ["run", str(file), "--registry-uri", store, "--no-tracking", "--quiet", "--out", str(out)]
    assert main(ran) == 0
    return pd.read_parquet(out / "trials.parquet")


class TestAFailedLookHoldsTheWeight:
    @pytest.mark.parametrize("steps", [RAMP, "ramp: {kind: linear, step: 10%, until: 50%, every: 1m}"])
    def test_for_one_more_interval(self, steps: str, cases: str, tmp_path: Path) -> None:
        """Case 06: errors of 20% in minutes 1 to 3, so that 20% of the traffic stay for three more minutes."""
        text = case("06").replace(RAMP, f"{steps}\n    advance: on_good_look").replace("max: 1%, trip: 5", "max: 5%, trip: 5")
        found = trials(text, cases, tmp_path)
        assert (found["verdict"] == "ship").all()
        assert (found["time_to_decision_s"] == 8 * 60).all()
        assert (found["paused_s"] == 3 * 60).all()
        # 1,200 requests a minute, 20% of them to an arm where a fifth fails of what did not, a success being worth .5.
        expected, regret = 3 * 1200 * 0.2 * 0.2 * 0.998 * 0.5, found["regret"]
        assert abs(regret.mean() - expected) < 4 * regret.std() / np.sqrt(regret.size)

    def test_and_by_the_clock_it_does_not(self, cases: str, tmp_path: Path) -> None:
        found = trials(case("06").replace("max: 1%, trip: 5", "max: 5%, trip: 5"), cases, tmp_path)
        assert (found["time_to_decision_s"] == 5 * 60).all()

    def test_weights_are_added_until_one_is_enough(self, cases: str, tmp_path: Path) -> None:
        """Flagger's `maxWeight: 50` and `stepWeight: 20` go 20, 40, 60."""
        policy = "  - {name: flagger, kind: canary, ramp: {kind: linear, step: 20%, until: 50%, every: 2m}, "
        policy += "checks: [{metric: error_rate, max: 20%}]}"
        found = trials(scenario(policy), cases, tmp_path)
        assert (found["time_to_decision_s"] == 6 * 60).all()
        np.testing.assert_allclose(found["peak_exposure"], 0.6)

    def test_a_check_that_will_not_look_again_holds_nothing(self, cases: str, tmp_path: Path) -> None:
        policy = f"  - {{name: flagger, kind: canary, {RAMP}, advance: on_good_look, "
        policy += "checks: [{metric: error_rate, min: 90%, looks: 2, trip: 3}]}"
        found = trials(scenario(policy), cases, tmp_path)
        # The first look holds the weight; the second is the last.
        assert (found["time_to_decision_s"] == 6 * 60).all()


class TestOneCountForSeveralChecks:
    CHECKS = "checks: [{metric: error_rate, max: 1%, trip: 5}, {metric: latency, max: 500ms, trip: 5}]"
    BOTH = "{metric: error_rate, max: 5%}, {metric: latency, max: 500ms}"

    def test_rolls_back_at_the_fifth_failed_interval(self, cases: str, tmp_path: Path) -> None:
        """Case 20: errors in minutes 1, 3 and 5, slow calls in minutes 2 and 4."""
        text = case("20").replace(self.CHECKS, f"checks: [{{kind: together, trip: 5, checks: [{self.BOTH}]}}]")
        found = trials(text, cases, tmp_path)
        assert (found["verdict"] == "keep").all()
        assert (found["time_to_decision_s"] == 6 * 60).all()

    def test_and_one_interval_later_where_the_rollback_takes_one(self, cases: str, tmp_path: Path) -> None:
        """Flagger rolls back in the tick after the count has reached its threshold; until then the weight stays."""
        text = case("20").replace(self.CHECKS, f"checks: [{{kind: together, trip: 5, checks: [{self.BOTH}]}}]")
        found = trials(f"{text.rstrip()}\n    reaction: {{fail: {{delay: {{constant: 1m}}}}}}", cases, tmp_path)
        assert (found["verdict"] == "keep").all()
        assert (found["time_to_decision_s"] == 7 * 60).all()

    def test_a_rule_that_checks_must_share_is_told_at_its_key(
        self, cases: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        policy = "  - {name: canary, kind: canary, steps: [{weight: 10%, bake: 5m}], checks: [{kind: together, checks: "
        policy += "[{metric: error_rate, max: 1%}, {metric: latency, max: 1s, every: 5m, trip: 2}]}]}"
        file = tmp_path / "wrong.yaml"
        file.write_text(scenario(policy), encoding="utf-8")
        assert main(["check", str(file)]) == 2
        said = capsys.readouterr()
        said_all = said.out + said.err
        assert "policies[0].checks[0].checks[1].trip: must be left out" in said_all
        assert "policies[0].checks[0].checks[1].every: must be that of checks[0]" in said_all


class TestPassesAfterGoodLooks:
    def test_each_step_at_the_fifth_good_look_in_a_row(self, cases: str, tmp_path: Path) -> None:
        """Case 23: a stage without a length of its own ends as passed where its check has passed."""
        stages = ", ".join(
            f"{{name: at-{weight}, allocation: {{kind: fixed, weights: [{100 - weight}%, {weight}%]}}, "
            "evidence: {kind: survive}, checks: [{metric: error_rate, max: 5%, pass_after: 5}, "
            "{metric: latency, max: 1s, every: 5m}]}"
            for weight in (10, 50)
        )
        found = trials(scenario(f"  - {{name: canary, kind: stages, stages: [{stages}]}}"), cases, tmp_path)
        assert (found["verdict"] == "ship").all()
        assert (found["time_to_decision_s"] == 10 * 60).all()

    def test_and_a_bad_look_begins_again(self, cases: str, tmp_path: Path) -> None:
        policy = "  - {name: canary, kind: stages, stages: [{evidence: {kind: survive}, "
        policy += "checks: [{metric: error_rate, max: 5%, trip: 2, pass_after: 5}]}]}"
        timeline = [{"kind": "errors", "arm": "challenger", "at": "3m", "duration": "1m", "rate": "30%"}]
        found = trials(scenario(policy, timeline=timeline), cases, tmp_path)
        assert (found["time_to_decision_s"] == 9 * 60).all()

    def test_what_nothing_ends_is_refused(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        policy = (
            "  - {name: canary, kind: stages, stages: [{evidence: {kind: survive}, checks: [{metric: error_rate, max: 1%}]}]}"
        )
        file = tmp_path / "wrong.yaml"
        file.write_text(scenario(policy), encoding="utf-8")
        assert main(["check", str(file)]) == 2
        said = capsys.readouterr()
        assert "policies[0].stages[0].evidence.duration: is required" in said.out + said.err


GATE = "{metric: error_rate, max: 1%, over: stage, min_requests: 2000}"


class TestPeople:
    def gate(self, first: str, checks: str = GATE) -> str:
        return f"  - {{name: canary, kind: canary, steps: [{first}, {{weight: 50%, bake: 15m}}], checks: [{checks}]}}"

    def test_a_step_lasts_as_long_as_people_take(self, cases: str, tmp_path: Path) -> None:
        """Case 26: the time until somebody approves is log-normal, rounded up to whole ticks."""
        approval = "{weight: 10%, approval: {delay: {lognormal: {median: 2h, p99: 20h}}}}"
        keys = {"horizon": "4d", "replications": 1000, "tick": "5m", "traffic": {"rate": "1/s"}}
        found = trials(scenario(self.gate(approval, "{metric: error_rate, max: 20%}"), **keys), cases, tmp_path)
        waited_h = (found["time_to_decision_s"].fillna(np.inf) - 15 * 60) / 3600
        sigma = np.log(10) / 2.3263478740408408
        for hours in (0.5, 1, 2, 5, 10):
            chance = ndtr(np.log(hours / 2) / sigma)
            assert abs((waited_h <= hours).mean() - chance) < 4 * np.sqrt(chance * (1 - chance) / 1000)

    def test_without_a_delay_every_bit_is_as_without_people(self, cases: str, tmp_path: Path) -> None:
        plain = self.gate("{weight: 10%, bake: 15m}", "{metric: error_rate, max: 1.5%}")
        people = plain.replace("bake: 15m}", "bake: 15m, approval: {}}").removesuffix("}")
        people += ", reaction: {fail: {}, inconclusive: {}}}"
        before, after = (
            trials(scenario(policy), cases, tmp_path, name) for name, policy in (("plain", plain), ("people", people))
        )
        assert set(before["verdict"]) == {"ship", "keep"}
        pd.testing.assert_frame_equal(before, after)

    def test_at_night_nobody_approves(self, cases: str, tmp_path: Path) -> None:
        """Asked at 16:45 for something that takes half an hour, they are done at 09:15; on Friday, at 09:15 on Monday."""
        hours = "hours: {between: ['09:00', '17:00'], days: [1, 2, 3, 4, 5]}"
        step = f"{{weight: 10%, bake: 15m, approval: {{delay: {{constant: 30m}}, {hours}}}}}"
        gate = self.gate(step, "{metric: latency, max: 9s}")
        for start, days in (("16:30", 1), ("16:30", 3)):
            keys: dict[str, Any] = {"horizon": "7d", "replications": 3, "tick": "15m"}
            keys["traffic"] = {"rate": "1/m", "start": start}
            text = scenario(gate if days == 1 else gate.replace("[1, 2, 3, 4, 5]", "[1, 4, 5, 6]"), **keys)
            found = trials(text, cases, tmp_path, f"days-{days}")
            assert (found["time_to_decision_s"] == (days * 24 - 16.5 + 9.25 + 0.25) * 3600).all()

    def test_checks_go_on_while_people_wait(self, cases: str, tmp_path: Path) -> None:
        timeline = [{"kind": "errors", "arm": "challenger", "at": "20m", "duration": "5m", "rate": "30%"}]
        gate = self.gate("{weight: 10%, approval: {delay: {constant: 40m}}}", "{metric: error_rate, max: 10%}")
        found = trials(scenario(gate, timeline=timeline), cases, tmp_path)
        assert (found["verdict"] == "keep").all()
        assert (found["time_to_decision_s"] == 21 * 60).all()

    def test_what_is_in_doubt_waits_for_an_operator(self, cases: str, tmp_path: Path) -> None:
        """The weight of the doubtful arm stays for the 25 minutes that the operator takes, and costs what it costs."""
        policy = "  - {name: canary, kind: canary, steps: [{weight: 10%, bake: 10m}], on: {inconclusive: keep}, "
        policy += "checks: [{metric: error_rate, max: 60%, doubt_above: 5%}]"
        timeline = [{"kind": "errors", "arm": "challenger", "at": "4m", "duration": "50m", "rate": "20%"}]
        keys = {"timeline": timeline, "replications": 200}
        at_once = trials(scenario(f"{policy}}}", **keys), cases, tmp_path, "at-once")
        waits = trials(
            scenario(f"{policy}, reaction: {{inconclusive: {{delay: {{constant: 25m}}}}}}}}", **keys), cases, tmp_path, "waits"
        )
        assert (at_once["time_to_decision_s"] == 5 * 60).all()
        assert (waits["time_to_decision_s"] == 30 * 60).all()
        # It is found as soon, and the rollout stands still from then on.
        assert (waits["time_to_finding_s"] == 5 * 60).all()
        assert (waits["paused_s"] == 25 * 60).all()
        assert (at_once["paused_s"] == 0).all()
        more = 1200 * 0.1 * 0.2 * 0.5 * 25
        assert abs((waits["regret"] - at_once["regret"]).mean() - more) < 0.01 * more

    def test_people_take_as_long_under_every_policy(self, cases: str, tmp_path: Path) -> None:
        """The time is drawn by replication, and not by what a policy did before: differences are paired."""
        step = "bake: 5m, approval: {delay: {exponential: 1h}}"
        checks = "checks: [{metric: latency, max: 9s}]"
        policies = "\n".join(
            f"  - {{name: at-{weight}, kind: canary, steps: [{{weight: {weight}%, {step}}}], {checks}}}" for weight in (5, 20)
        )
        found = trials(scenario(policies, horizon="12h", replications=20), cases, tmp_path)
        times = [of["time_to_decision_s"].to_numpy() for _, of in found.groupby("policy")]
        np.testing.assert_array_equal(*times)
        assert len(set(times[0])) > 10


class TestAnotherTry:
    @pytest.mark.parametrize("engine", ["aggregate", "compiled", "simpy"])
    def test_ships_what_an_incident_had_stopped(self, engine: str, cases: str, tmp_path: Path) -> None:
        """Errors in minutes 5 to 8 stop the canary after the sixth; 20 minutes later it begins anew, and lasts ten."""
        timeline = [{"kind": "errors", "arm": "challenger", "at": "5m", "duration": "4m", "rate": "60%"}]
        canary = "kind: canary, steps: [{weight: 10%, bake: 10m}], checks: [{metric: error_rate, max: 10%}]"
        policies = f"  - {{name: once, {canary}}}\n  - {{name: again, {canary}, on: {{retry: {{after: 20m}}}}}}"
        replications = 4 if engine == "simpy" else 40
        text = scenario(policies, timeline=timeline, engine=engine, replications=replications)
        found = trials(text, cases, tmp_path).set_index("policy")
        assert (found.loc["once", "verdict"] == "keep").all()
        assert (found.loc["again", "verdict"] == "ship").all()
        assert (found.loc["once", "time_to_decision_s"] == 6 * 60).all()
        assert (found.loc["again", "time_to_decision_s"] == (6 + 20 + 10) * 60).all()
        assert found.groupby("policy")["tries"].mean().to_dict() == {"once": 1, "again": 2}
        assert (found.loc["again", "paused_s"] == 0).all()

    def test_of_nothing_is_refused(self, cases: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        policy = "  - {name: a, kind: canary, steps: [{weight: 10%, bake: 10m}], checks: [{metric: error_rate, max: 10%}], "
        policy += "on: {fail: inconclusive, retry: {after: 1d, times: 0}}}"
        file = tmp_path / "bad.yaml"
        file.write_text(scenario(policy), encoding="utf-8")
        assert main(["check", str(file), "--registry-uri", cases]) == 2
        assert "policies[0].on.retry.times" in capsys.readouterr().err
        file.write_text(scenario(policy.replace("times: 0", "times: 1")), encoding="utf-8")
        assert main(["check", str(file), "--registry-uri", cases]) == 2
        assert "policies[0].on.retry" in capsys.readouterr().err


class TestABurningBudget:
    """An objective of 99.9%, and errors of .2%: more of them at a rate e are found after (.0144 - .002) 60 min / (.998 e)."""

    WINDOWS = "windows: [{long: 1h, short: 5m, burn: 14.4}]"

    @pytest.mark.parametrize(("rate", "minutes"), [("100%", 1), ("10%", 8), ("2%", 38)])
    def test_is_found_when_the_workbook_says(self, rate: str, minutes: int, cases: str, tmp_path: Path) -> None:
        timeline = [{"kind": "errors", "arm": "challenger", "at": "2h", "duration": "2h", "rate": rate}]
        check = f"{{kind: burn_rate, slo: 99.9%, {self.WINDOWS}}}"
        policy = f"  - {{name: canary, kind: canary, steps: [{{weight: 50%, bake: 5h}}], checks: [{check}]}}"
        keys: dict[str, Any] = {"timeline": timeline, "replications": 40, "horizon": "6h", "traffic": {"rate": "1000/s"}}
        found = trials(scenario(policy, **keys), cases, tmp_path)
        assert (found["verdict"] == "keep").all()
        # Within a minute of it where errors are few: 37.3 minutes, of which 37 may be enough by chance.
        late = found["time_to_decision_s"] / 60 - 120 - minutes
        assert (np.abs(late) <= (rate == "2%")).all()
        assert (found["alarms"] == 1).all()

    @pytest.mark.parametrize("engine", ["aggregate", "compiled", "simpy"])
    def test_lets_an_objective_that_holds_pass(self, engine: str, cases: str, tmp_path: Path) -> None:
        timeline = [{"kind": "errors", "arm": "challenger", "at": "5m", "duration": "20m", "rate": "1%"}]
        check = "{kind: burn_rate, slo: 99%, windows: [{long: 30m, short: 3m, burn: 10}]}"
        policy = f"  - {{name: canary, kind: canary, steps: [{{weight: 50%, bake: 50m}}], checks: [{check}]}}"
        found = trials(scenario(policy, timeline=timeline, replications=3, engine=engine), cases, tmp_path)
        assert (found["verdict"] == "ship").all()
        assert (found["alarms"] == 0).all()


class TestAlarms:
    BOUND = "630/m"

    @pytest.mark.parametrize("engine", ["aggregate", "compiled", "simpy"])
    def test_ring_as_often_as_looks_fail(self, engine: str, cases: str, tmp_path: Path) -> None:
        """Half of 20/s a minute are 600 answers, Poisson: of 60 looks, those above 630 fail."""
        check = f"{{metric: requests, max: {self.BOUND}, report_only: true}}"
        policy = f"  - {{name: canary, kind: canary, steps: [{{weight: 50%, bake: 1h}}], checks: [{check}]}}"
        few = engine == "simpy"
        found = trials(scenario(policy, engine=engine, replications=5 if few else 60), cases, tmp_path)
        assert (found["verdict"] == "ship").all()
        expected, alarms = 60 * poisson.sf(630, 600), found["alarms"]
        assert abs(alarms.mean() - expected) < 4 * np.sqrt(expected / alarms.size)
        assert 0.5 < alarms.var(ddof=1) / (expected * (1 - expected / 60)) < 2 or few

    def test_of_two_event_engines_are_the_same(self, cases: str, tmp_path: Path) -> None:
        check = f"{{metric: requests, max: {self.BOUND}, report_only: true}}"
        policy = f"  - {{name: canary, kind: canary, steps: [{{weight: 50%, bake: 1h}}], checks: [{check}]}}"
        both = [
            trials(scenario(policy, engine=engine, replications=3), cases, tmp_path, engine) for engine in ("compiled", "simpy")
        ]
        assert both[0]["alarms"].tolist() == both[1]["alarms"].tolist()

    def test_that_are_too_many_are_not_heeded(self, cases: str, tmp_path: Path) -> None:
        """Errors in minutes 5, 6 and 10: the third trips. Two alarms within ten minutes are heeded once the first is so old."""
        timeline = [
            {"kind": "errors", "arm": "challenger", "at": at, "duration": duration, "rate": "60%"}
            for at, duration in (("5m", "2m"), ("10m", "1m"))
        ]
        canary = "kind: canary, steps: [{weight: 10%, bake: 50m}], checks: [{metric: error_rate, max: 10%, trip: 3}]"
        policies = "\n".join(
            f"  - {{name: {name}, {canary}{reaction}}}"
            for name, reaction in (
                ("machine", ""),
                ("at-once", ", reaction: {fail: {}, muting: {after: 3, within: 10m}}"),
                ("tired", ", reaction: {fail: {delay: {constant: 3m}}, muting: {after: 2, within: 10m}}"),
                ("deaf", ", reaction: {fail: {delay: {constant: 3m}}, muting: {after: 1}}"),
            )
        )
        found = trials(scenario(policies, timeline=timeline), cases, tmp_path).set_index("policy")
        assert (found["alarms"] == 3).all()
        ended = {name: found.loc[name, "time_to_end_s"].to_numpy() / 60 for name in ("machine", "at-once", "tired")}
        assert {name: set(times) for name, times in ended.items()} == {"machine": {11.0}, "at-once": {11.0}, "tired": {19.0}}
        assert (found.loc["deaf", "verdict"] == "undecided").all()
        assert found.groupby("policy")["muted"].mean().to_dict() == {"machine": 0, "at-once": 0, "tired": 1, "deaf": 1}
        # People who come at once, and to all that calls them, change no bit.
        machine, people = (found.loc[name].reset_index(drop=True) for name in ("machine", "at-once"))
        pd.testing.assert_frame_equal(machine, people)
