"""`sim import` of canary configs of Kayenta: what is judged, when, at which scores, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from sim.cli import main
from tests.interop.manifests import CANARY_STAGE, CONFIG
from tests.interop.test_import import imported, leaves, refusals
from tests.undrawn import undrawn as undrawn

Change = Callable[[Any, Any], None]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def both(change: Change = lambda config, stage: None) -> tuple[str, str]:
    """The texts of a config and a stage after a change."""
    config, stage = json.loads(CONFIG), json.loads(CANARY_STAGE)
    change(config, stage)
    return json.dumps(config, indent=1), json.dumps(stage, indent=1)


def judged(policy: Any) -> Any:
    """The judge of a policy that was imported."""
    (judge,) = policy["stages"][-1]["checks"] if "stages" in policy else policy["checks"]
    return judge


def canary(config: Any, metric: int = 0) -> Any:
    return config["metrics"][metric]["analysisConfigurations"]["canary"]


def staged(**keys: Any) -> Change:
    return lambda config, stage: stage["canaryConfig"].update(keys)


def scoped(**keys: Any) -> Change:
    return lambda config, stage: stage["canaryConfig"]["scopes"][0].update(keys)


def measured(**keys: Any) -> Change:
    return lambda config, stage: canary(config).update(keys)


def sized(**keys: Any) -> Change:
    return lambda config, stage: canary(config)["effectSize"].update(keys)


def asked(text: str, **keys: Any) -> Change:
    def change(config: Any, stage: Any) -> None:
        config["metrics"][0]["query"]["customInlineTemplate"] = text
        canary(config).update(keys)

    return change


def weighed(**keys: float) -> Change:
    return lambda config, stage: config["classifier"].update(groupWeights=keys)


def scored(**keys: float) -> Change:
    return lambda config, stage: stage["canaryConfig"]["scoreThresholds"].update(keys)


GOOD = 'PromQL:100 * sum(rate(hits{app="$\\{scope}",code!~"5.."}[1m])) / sum(rate(hits{app="$\\{scope}"}[1m]))'
WITHIN = 'PromQL:sum(rate(t_seconds_bucket{app="${scope}",le="0.5"}[1m])) / sum(rate(t_seconds_count{app="${scope}"}[1m]))'
BLIND = 'PromQL:sum(rate(hits{code=~"5.."}[1m])) / sum(rate(hits[1m]))'
FALLS: dict[str, Any] = {"direction": "decrease", "effectSize": {}, "nanStrategy": "remove"}


def test_a_stage_and_its_config_are_a_canary_beside_a_baseline() -> None:
    policy = imported(CONFIG, CANARY_STAGE, more=("--weight", "10%"))
    assert policy["name"] == "shop"
    before, looked = policy["stages"]
    assert before["allocation"] == {"kind": "ramp", "baseline": True, "steps": [{"weight": "10%", "bake": "10m"}]}
    assert looked["allocation"]["steps"] == [{"weight": "10%", "bake": "1h"}]
    # The safe loader takes the key `on` for true.
    assert looked[True] == {"inconclusive": "keep"}
    assert "checks" not in before
    assert judged(policy) == {
        # Windows grow from the start. A score that is not above 50 fails; group Times has what Errors leave of 100.
        "kind": "kayenta", "every": "20m", "window": "1h", "against": "baseline", "pass": "75%", "marginal": "50.01%",
        "groups": {"Errors": 70, "Times": 30},
        "metrics": [
            {
                "metric": "error_rate", "tolerance": 0.1, "critical_tolerance": 1, "critical": True, "no_value": "zero",
                "group": "Errors",
            },
            {"metric": "mean_latency", "direction": "either", "must_have_data": True, "group": "Times"},
        ],
    }  # fmt: skip
    models = yaml.safe_load(Path("made.yaml").read_text())["models"]
    assert [model.get("role") for model in models] == [None, None, "baseline"]


@pytest.mark.parametrize("engine", ["compiled", "simpy"])
def test_it_fails_at_the_first_look_and_passes_at_the_last(engine: str, tmp_path: Path) -> None:
    imported(CONFIG, CANARY_STAGE, more=("--rate", "2/s", "--error-rate", "5%"))
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert main(["models", "register", "models/made.yaml", "--tracking-uri", store]) == 0
    for effect, verdict, seconds in (("0%", "ship", 4200), ("+1900%", "keep", 1800)):
        changed = ["--set", f"truth={{release: {{error_rate: {{relative_effect: {effect}}}}}}}", "--set", f"engine={engine}"]
        small = ["--set", "replications=12", "--set", "sensitivity=off", "--set", "aa=false", *changed, "--out", verdict]
        assert main(["run", "made.yaml", "--registry-uri", store, "--no-tracking", "--quiet", *small]) == 0
        own = pd.read_parquet(Path(verdict) / "trials.parquet").query("policy == 'shop'")
        # A version that fails always is seen by all; a fine one fails a critical metric for nothing now and then.
        as_expected = own[own["verdict"] == verdict]
        assert len(as_expected) >= (12 if verdict == "keep" else 9)
        assert set(as_expected["time_to_decision_s"]) == {seconds}


def alone(config: Any, stage: Any) -> None:
    stage.clear()
    stage.update({"kind": "Service"})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c, s: s["canaryConfig"].pop("beginCanaryAnalysisAfterMins"), {"window": "1h"}),
        (staged(lookbackMins=20), {"every": "20m", "window": None}),
        (staged(lookbackMins=10), {"window": "10m"}),
        (staged(lookbackMins=40, beginCanaryAnalysisAfterMins=0), {"window": "40m"}),
        (staged(canaryAnalysisIntervalMins=0), {"every": "1h", "window": None}),
        (staged(canaryAnalysisIntervalMins=90), {"every": "1h"}),
        (staged(canaryAnalysisIntervalMins=25), {"every": "25m", "window": "50m"}),
        (lambda c, s: s["canaryConfig"].pop("scoreThresholds"), {"pass": "75%", "marginal": "50.01%"}),
        (staged(scoreThresholds={"pass": 60, "marginal": 60}), {"pass": "60.01%"}),
        (lambda c, s: s.update(analysisType="realTime"), {"against": None}),
        (scoped(controlScope="shop-baseline"), {"against": "baseline"}),
        (staged(lifetimeDuration=None, lifetimeHours="2"), {"window": "2h"}),
        # Without a stage: one look after an hour, by the thresholds of the config.
        (alone, {"every": "1h", "against": None, "pass": "95%", "marginal": "75.01%"}),
        (weighed(), {"groups": {"Errors": 50, "Times": 50}}),
    ],
)  # fmt: skip
def test_when_it_looks_and_at_which_scores(change: Change, expected: dict[str, Any]) -> None:
    judge = judged(imported(*both(change)))
    assert {key: judge.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            measured(direction="either", effectSize={"allowedIncrease": 1.2, "allowedDecrease": 0.8}),
            {"tolerance": 0.2, "direction": "either"},
        ),
        (measured(effectSize={}), {"tolerance": None, "critical_tolerance": None, "critical": True}),
        (measured(critical=False), {"tolerance": 0.1, "critical_tolerance": None, "critical": None}),
        (measured(nanStrategy="remove"), {"no_value": None}),
        # Whatever the unit is, and whichever side is asked for.
        (asked(GOOD, **FALLS), {"metric": "error_rate", "direction": None}),
        (asked(WITHIN, **FALLS), {"metric": "latency", "limit": "500ms"}),
    ],
)  # fmt: skip
def test_how_a_metric_is_judged(change: Change, expected: dict[str, Any]) -> None:
    metric = judged(imported(*both(change)))["metrics"][0]
    assert {key: metric.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, s: c["judge"].update(name="dredd-v2.0"), "other judges are not carried"),
        (sized(measure="cles"), "effectSize.measure: a common language effect size is not carried"),
        (sized(allowedIncrease=0.9), "must be a ratio of at least 1; got 0.9"),
        (measured(direction="decrease"), "it fails only where the new version is better"),
        (measured(direction="up"), "must be one of increase, decrease, either; got 'up', which Kayenta takes for either"),
        (measured(direction="either"), "that differ from 1 by unlike amounts"),
        (lambda c, s: canary(c, 1)["outliers"].update(strategy="remove"), "the removal of outliers is not carried"),
        (lambda c, s: canary(c, 1).update(muted=1), "must be true or false; got 1"),
        (lambda c, s: canary(c, 1).update(mustHave=True), "did you mean 'mustHaveData'?"),
        (lambda c, s: c["metrics"][0].update(groups=["a", "b"]), "a metric of exactly one group is carried; got 2"),
        (lambda c, s: c["metrics"][1].update(name="errors"), "must be a name of its own"),
        (asked(BLIND), "it does not ask for ${scope}"),
        (asked(GOOD.replace("1m", "5m")), "each of its values is of 5m, and one is taken every 1m"),
        (asked(GOOD), "it fails only where the new version is better"),
        (lambda c, s: c["metrics"][0]["query"].pop("customInlineTemplate"), "names series, and not what is asked of them"),
        (lambda c, s: c["templates"].clear(), "no template 'times' in the config"),
        (weighed(Errors=60, Times=30), "must weigh 100 together, the highest score; they weigh 90"),
        (weighed(Errors=100), "every group of a metric must have a weight above 0; 'Times' has not"),
        (scored(marginal=100), "no score is above it"),
        (scored(**{"pass": 101}), "must be a score from 0 to 100; got 101"),
        (lambda c, s: s["canaryConfig"].pop("lifetimeDuration"), "a whole number of minutes is needed: how long it judges"),
        (staged(lifetimeDuration="1h"), "must be a duration such as PT1H30M; got '1h'"),
        (staged(lookbackMins=30), "sees farther back than the analysis began"),
        (staged(canaryConfigId="18"), None),
        (lambda c, s: s["canaryConfig"]["scopes"].append({"step": 60}), "a second scope is not carried"),
        (scoped(step=70), "20m are no whole number of steps"),
        (scoped(endTimeIso="2026-01-01T00:00:00Z"), "an analysis of a time that is past"),
        (staged(canaryAnalysisIntervalMins="${parameters.every}"), "holds a variable that nothing has set"),
        (staged(baselineAnalysisOffsetInMins=5), "a baseline of another time is not carried"),
        (lambda c, s: s.update(continuePipeline=True), "rolls nothing back by itself"),
        (lambda c, s: s.update(analysisType="retrospective"), "an analysis of the past moves no traffic"),
        (lambda c, s: (alone(c, s), c["classifier"].pop("scoreThresholds")), "pass and marginal are needed"),
    ],
)  # fmt: skip
def test_what_is_not_carried_is_refused(change: Change, message: str | None, capsys: Capture) -> None:
    texts = both(change)
    if message is None:
        # The only config is the one that is meant, whatever its id.
        imported(*texts)
        return
    assert message in refusals(capsys, *texts)


def test_a_stage_without_its_config_and_one_of_several_are_told(capsys: Capture) -> None:
    assert "canaryConfig.canaryConfigId: no canary config in the files given" in refusals(capsys, CANARY_STAGE)
    others = [CONFIG.replace('"17"', f'"{number}"').replace('"shop"', f'"shop{number}"') for number in (1, 2)]
    assert "which of the canary configs is meant cannot be told" in refusals(capsys, *others, CANARY_STAGE)
    assert imported(*others, CANARY_STAGE.replace('"17"', '"shop2"'))["name"] == "shop2"


def test_a_pipeline_and_a_request_are_read_as_a_stage_is() -> None:
    expected = imported(CONFIG, CANARY_STAGE)
    Path("made.yaml").unlink()
    Path("models/made.yaml").unlink()
    pipeline = json.dumps({"application": "shop", "stages": [{"type": "deploy"}, json.loads(CANARY_STAGE)]})
    assert imported(pipeline, CONFIG) == expected
    Path("made.yaml").unlink()
    Path("models/made.yaml").unlink()
    request = {
        "canaryConfig": json.loads(CONFIG),
        "executionRequest": {
            "scopes": [{"controlScope": "shop-baseline", "experimentScope": "shop-canary", "step": 60}],
            "thresholds": {"pass": 75, "marginal": 50}, "lifetimeDurationMins": 60, "analysisIntervalMins": 20,
            "beginAfterMins": 10,
        },
    }  # fmt: skip
    assert imported(json.dumps(request)) == expected


def test_bindings_say_what_metrics_mean_and_what_always_passes(capsys: Capture) -> None:
    config = json.loads(CONFIG)
    config["metrics"][0]["query"] = {"type": "datadog", "metricName": "errors"}
    config["metrics"][2]["analysisConfigurations"]["canary"] = {}
    text = json.dumps(config, indent=1)
    assert "a query of datadog is not read" in refusals(capsys, text, CANARY_STAGE, more=("--bindings", "b.yaml"))
    assert list(yaml.safe_load(Path("b.yaml").read_text())["bindings"]) == ["shop/errors", "shop/noise"]
    Path("b.yaml").write_text(
        "bindings:\n  shop/errors: {measures: error_rate, unit: percent, window: 1m}\n  shop/noise: {measures: nothing}\n"
    )
    judge = judged(imported(text, CANARY_STAGE, more=("--bindings", "b.yaml")))
    assert [metric["metric"] for metric in judge["metrics"]] == ["error_rate", "mean_latency"]
    assert judge["always_pass"] == {"Times": 1}
    for meaning, message in (
        ("{measures: latency, quantile: 99%, window: 1m}", "a quantile of each step's latencies is not compared"),
        ("{measures: requests, window: 1m}", "numbers of requests are not compared"),
        ("{measures: error_rate, window: 1m, sees: both}", "it must be of one version"),
    ):
        Path("b.yaml").write_text(f"bindings:\n  shop/errors: {meaning}\n  shop/noise: {{measures: nothing}}\n")
        assert message in refusals(capsys, text, CANARY_STAGE, more=("--bindings", "b.yaml"))
    Path("b.yaml").write_text(
        "bindings:\n" + "".join(f"  shop/{name}: {{measures: nothing}}\n" for name in ("errors", "wait", "noise"))
    )
    assert "there is none that could fail" in refusals(capsys, text, CANARY_STAGE, more=("--bindings", "b.yaml"))


def test_every_field_is_accounted_for(capsys: Capture) -> None:
    for name, text in zip(("config.json", "stage.json"), both(), strict=True):
        Path(name).write_text(text)
    assert main(["import", "config.json", "stage.json", "--json"]) == 0
    paths = {row["path"] for row in json.loads(capsys.readouterr().out)["fields"]}
    for text in (CONFIG, CANARY_STAGE):
        for leaf in leaves(json.loads(text)):
            assert any(leaf == path or leaf.startswith((f"{path}.", f"{path}[")) for path in paths), leaf


@pytest.mark.parametrize("weight", ["0%", "5", "many"])
def test_a_wrong_weight_is_told_at_its_option(weight: str, capsys: Capture) -> None:
    assert "--weight: must be" in refusals(capsys, CONFIG, CANARY_STAGE, more=("--weight", weight))


def test_a_baseline_takes_as_much_as_the_canary(capsys: Capture) -> None:
    assert "60% twice are too much" in refusals(capsys, CONFIG, CANARY_STAGE, more=("--weight", "60%"))


def test_it_is_assessed_beside_its_baseline(capsys: Capture) -> None:
    for name, text in zip(("config.json", "stage.json"), both(), strict=True):
        Path(name).write_text(text)
    small = ["--replications", "100", "--no-neighbours", "--delta", "60%", "--slower", "1%", "--json", "--rate", "2/s"]
    assert main(["assess", "config.json", "stage.json", *small]) == 0
    ends = {
        (version["errors"], version["slower"]): (version["back"]["estimate"], version["shipped"]["estimate"])
        for version in json.loads(capsys.readouterr().out)["traffic"][0]["versions"]
    }
    assert ends[(0.6, 0)] == (1, 0)
    assert ends[(0, 0)][1] > 0.9
