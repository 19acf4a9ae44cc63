"""`sim import` from files, as a user runs it: what is played, what is said of every field, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from sim.cli import main
from tests.interop.manifests import ALARMS, CANARY, DEPLOYMENT, ROLLOUT
from tests.undrawn import undrawn as undrawn

MANIFESTS = Path(__file__).parents[3] / "shared" / "manifests"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def imported(*texts: str, more: tuple[str, ...] = ()) -> dict[str, Any]:
    """The first policy of the scenario that is made of manifests; `sim check` accepts the scenario."""
    files = []
    for number, text in enumerate(texts):
        files.append(f"{number}.yaml")
        Path(files[-1]).write_text(text)
    assert main(["import", *files, "--out", "made.yaml", *more]) == 0
    assert main(["check", "made.yaml", "--quiet"]) == 0
    policy: dict[str, Any] = yaml.safe_load(Path("made.yaml").read_text())["policies"][0]
    return policy


def refusals(capsys: pytest.CaptureFixture[str], *texts: str, more: tuple[str, ...] = ()) -> str:
    """What is said of manifests that are refused; nothing is written."""
    files = []
    for number, text in enumerate(texts):
        files.append(f"bad{number}.yaml")
        Path(files[-1]).write_text(text)
    assert main(["import", *files, "--out", "none.yaml", *more]) == 2
    assert not Path("none.yaml").exists()
    assert not Path("models/none.yaml").exists()
    return capsys.readouterr().err


def said(capsys: pytest.CaptureFixture[str], text: str) -> Any:
    """Fields and remarks of a manifest, whether or not it is carried."""
    Path("said.yaml").write_text(text)
    main(["import", "said.yaml", "--json"])
    return json.loads(capsys.readouterr().out)


def remark(capsys: pytest.CaptureFixture[str], text: str, path: str) -> str:
    """The remark at a path."""
    (found,) = [each["text"] for each in said(capsys, text)["remarks"] if each["path"] == path]
    return str(found)


def test_an_argo_rollout_runs_as_its_controller_would(tmp_path: Path) -> None:
    policy = imported(ROLLOUT, more=("--rate", "30/s"))
    assert policy["kind"] == "canary"
    # The analysis of a step holds its weight for three intervals after the first measurement.
    assert [(step["weight"], step["bake"]) for step in policy["steps"]] == [("5%", "10m"), ("20%", "1290s"), ("50%", "30m")]
    assert policy["checks"] == [
        {"metric": "error_rate", "max": "1%", "over": "5m", "no_data": "fail", "trip": 3, "every": "1m", "start": "2m"},
        {
            "metric": "latency", "quantile": "95%", "max": "500ms", "over": "1m", "no_data": "pass", "trip": 2, "every": "30s",
            "start": "30m", "looks": 4,
        },
    ]  # fmt: skip
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert main(["models", "register", "models/made.yaml", "--tracking-uri", store]) == 0
    small = ["--set", "replications=200", "--set", "sensitivity=off", "--set", "aa=false"]
    assert main(["run", "made.yaml", "--registry-uri", store, "--no-tracking", "--quiet", *small]) == 0
    (trials,) = Path("reports").glob("*/trials.parquet")
    own = pd.read_parquet(trials).query("policy == 'shop'")
    # One release in ten fails at 1% of requests, the bound itself: some looks fail. One that is well takes 61.5 minutes.
    shipped = own[own["verdict"] == "ship"]
    assert (shipped["time_to_decision_s"] == 3690).all()
    assert 0.85 <= len(shipped) / len(own) < 1


def test_flagger_goes_20_40_60_and_counts_all_metrics_together() -> None:
    policy = imported(CANARY)
    assert policy["advance"] == "on_good_look"
    assert [step["weight"] for step in policy["steps"]] == ["20%", "40%", "60%"]
    # It rolls back at the tick after.
    assert policy["reaction"] == {"fail": {"delay": {"constant": "1m"}}}
    (together,) = policy["checks"]
    assert (together["kind"], together["trip"]) == ("together", 5)
    assert together["checks"] == [
        {"metric": "error_rate", "max": "1%", "no_data": "fail", "every": "1m"},
        {"metric": "latency", "quantile": "99%", "max": "500ms", "over": "30s", "no_data": "fail", "every": "1m"},
        {"metric": "requests", "min": "1/s", "every": "1m"},
    ]


@pytest.mark.parametrize(
    ("text", "name", "fine_s", "bad_s"),
    [
        # Three weights of a minute; or five failed looks at 20%, and the tick after.
        (CANARY, "web", 180, 360),
        # 61.5 minutes; or three failed looks, of which the first comes after two minutes.
        (ROLLOUT, "shop", 3690, 240),
        # Four shares of five minutes; or three of five looks of a minute.
        (DEPLOYMENT.replace("}}}\n", "}},\n") + ALARMS[1:], "ranker", 1200, 180),
    ],
)
def test_timelines_are_those_of_the_programs(text: str, name: str, fine_s: int, bad_s: int, tmp_path: Path) -> None:
    """Where no look fails, and where every look does."""
    assert imported(text, more=("--rate", "100/s", "--error-rate", "0.01%"))["name"] == name
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert main(["models", "register", "models/made.yaml", "--tracking-uri", store]) == 0
    for effect, verdict, seconds in (("0%", "ship", fine_s), ("+999900%", "keep", bad_s)):
        changed = ["--set", f"truth={{release: {{error_rate: {{relative_effect: {effect}}}}}}}"]
        small = ["--set", "replications=20", "--set", "sensitivity=off", "--set", "aa=false", *changed, "--out", verdict]
        assert main(["run", "made.yaml", "--registry-uri", store, "--no-tracking", "--quiet", *small]) == 0
        own = pd.read_parquet(Path(verdict) / "trials.parquet").query("policy == @name")
        assert set(own["verdict"]) == {verdict}
        assert set(own["time_to_decision_s"]) == {seconds}


def test_what_comes_after_good_looks_in_a_row_is_a_stage_of_its_own() -> None:
    head, *templates = ROLLOUT.split("---\n")
    background = head.index("      analysis:"), head.index("      steps:")
    rollout = head[: background[0]] + head[background[1] :].replace("templateName: latency", "templateName: success").replace(
        "{name: hash, valueFrom: {podTemplateHashValue: Latest}}", "{name: service, value: shop-canary}"
    )
    template = templates[0].replace("failureLimit: 2", "failureLimit: 2\n      consecutiveSuccessLimit: 3")
    stages = imported(f"{rollout}---\n{template}")["stages"]
    assert [stage["allocation"].get("weights") for stage in stages] == [None, ["80%", "20%"], None]
    assert [[step["weight"] for step in stages[at]["allocation"]["steps"]] for at in (0, 2)] == [["5%", "20%"], ["50%"]]
    assert [check["pass_after"] for check in stages[1]["checks"]] == [3]


def test_a_mirror_is_of_all_requests_or_ends(capsys: pytest.CaptureFixture[str]) -> None:
    begins = (
        "        - setMirrorRoute: {name: m, percentage: 25, match: [{path: {prefix: /}}]}\n        - pause: {duration: 9m}\n"
    )
    ends = "        - setMirrorRoute: {name: m}\n"
    text = ROLLOUT.replace(STEP, begins + ends + STEP).replace("startingStep: 1", "startingStep: 4")
    first, *_ = imported(text)["stages"]
    assert first["allocation"] == {"kind": "mirror", "fraction": "25%"}
    assert first["evidence"] == {"kind": "survive", "duration": "9m"}
    capsys.readouterr()
    assert "a mirror finds nobody" in remark(capsys, text, "spec.strategy.canary.steps[0].setMirrorRoute")
    scaled = text.replace("        - setMirrorRoute", "        - setCanaryScale: {weight: 5}\n        - setMirrorRoute", 1)
    assert not [each for each in said(capsys, scaled)["remarks"] if "finds nobody" in each["text"]]
    # Without a match a route is removed, whatever its percentage.
    bare = text.replace(", match: [{path: {prefix: /}}]", "")
    assert "no request is copied" in remark(capsys, bare, "spec.strategy.canary.steps[0].setMirrorRoute.percentage")


def test_sagemaker_shifts_in_steps_under_alarms_and_without_any_never_goes_back(capsys: pytest.CaptureFixture[str]) -> None:
    policy = imported(DEPLOYMENT, ALARMS)
    assert [(step["weight"], step["bake"]) for step in policy["steps"]] == [(f"{w}%", "5m") for w in (30, 60, 90, 100)]
    assert policy["checks"] == [{"metric": "error_rate", "max": "1%", "no_data": "pass", "trip": 3, "of": 5, "every": "1m"}]
    capsys.readouterr()
    bare = DEPLOYMENT.replace('"Alarms": [{"AlarmName": "errors"}]', '"Alarms": []')
    assert "it never rolls back" in remark(capsys, bare, "AutoRollbackConfiguration")
    assert "no alarm 'errors' in the files given" in refusals(capsys, DEPLOYMENT)


def test_every_field_is_accounted_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Every scalar of a manifest is in, or under, a field that is told."""
    for text in (ROLLOUT, CANARY, DEPLOYMENT):
        told = {(row["line"], row["path"]) for row in said(capsys, text)["fields"]}
        paths = {path for _, path in told}
        for document in yaml.safe_load_all(text):
            data = document.get("DeploymentConfig", document)
            for leaf in leaves(data):
                assert any(leaf == path or leaf.startswith((f"{path}.", f"{path}[")) for path in paths), leaf


def leaves(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict) and value:
        return [leaf for key, inner in value.items() for leaf in leaves(inner, f"{path}.{key}".lstrip("."))]
    if isinstance(value, list) and value:
        return [leaf for index, inner in enumerate(value) for leaf in leaves(inner, f"{path}[{index}]")]
    return [path]


STEP = "        - setWeight: 5\n"


@pytest.mark.parametrize(
    ("put", "message", "line"),
    [
        ("{plugin: {name: x}}", "what a plugin does is not known", 16),
        ("{experiment: {templates: []}}", "versions beside the canary", 16),
        ("{setHeaderRoute: {name: a, match: []}}", "what share of the requests has the header", 16),
        (
            "{setMirrorRoute: {name: m, percentage: 5, match: [{method: {exact: POST}}]}}",
            "what share of the requests it matches",
            16,
        ),
        ("{setWeight: 101}", "must be a whole number from 0 to 100; got 101", 16),
        ('{setWeight: "{{ .Values.w }}"}', "holds a template of Helm", 16),
        ("{setWeight: $(W)}", "holds a variable that nothing has set", 16),
        ("{pause: {duration: 1d}}", "it has no unit, one of h, m, s and ms", 16),
        ("{pause: {duration: -5}}", "must be a duration such as 5m; got -5", 16),
        ("{pause: }", "an empty pause is dropped by the cluster", 16),
        ("{setWeight: 5, pause: {}}", "a step has exactly one of", 16),
        ("{setWait: 5}", "did you mean 'setWeight'?", 16),
        ("{analysis: {templates: [{templateName: other}]}}", "no AnalysisTemplate 'other' in the files given", 16),
        ("{analysis: {templates: [{templateName: latency}]}}", "the argument 'hash' has no value", 48),
        (
            "{analysis: {templates: [{templateName: success}], args: [{name: service, value: x}]}}",
            "without a count it never ends",
            33,
        ),
    ],
)
def test_what_cannot_be_carried_is_refused_at_its_line(
    put: str, message: str, line: int, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refusals(capsys, ROLLOUT.replace(STEP, f"        - {put}\n"))
    (told,) = [each for each in error.splitlines() if message in each]
    assert told.startswith(f"bad0.yaml:{line}:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Service\nmetadata: {name: a}\n", "holds no rollout"),
        ("kind: AnalysisTemplate\nmetadata: {name: a}\n", "found AnalysisTemplate"),
        ("", "found nothing"),
        ("- 1\n", "must be a mapping"),
        ("kind: Rollout\nspec: {{ .Values.spec }}\n", "render it first, as 'helm template' does"),
        ("kind: Rollout\n  spec: 3\n", "bad0.yaml:2:"),
        ("kind: Rollout\nmetadata: {name: a}\n", "needs a strategy"),
        ("kind: Rollout\nmetadata: {name: a}\nspec: {strategy: {canary: {}, blueGreen: {}}}\n", "exactly one of canary and"),
        ("kind: Canary\nmetadata: {name: a}\nspec: {}\n", "a Canary needs an analysis"),
        (
            "kind: Canary\nmetadata: {name: a}\nspec: {targetRef: {name: a}, analysis: {interval: 1m}}\n",
            "its weight never rises",
        ),
        ("kind: Canary\nmetadata: {name: a}\nspec: {analysis: {iterations: 3, metrics: []}}\n", "without mirror no user's"),
        ("RollingUpdatePolicy: {}\n", "batches of instances"),
        (
            "kind: List\nitems: [{kind: Rollout, metadata: {name: a}, spec: {strategy: {canary: {step: []}}}}]\n",
            "mean 'steps'?",
        ),
        ("kind: !!python/object/apply:os.system [ls]\n", "is not supported here"),
    ],
)
def test_files_that_are_no_rollout_are_told(text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refusals(capsys, text)


BLUE_GREEN = """\
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: podinfo}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}
  analysis:
    interval: 1m
    threshold: 2
    iterations: 10
    metrics: [{name: request-success-rate, thresholdRange: {min: 99}, interval: 1m}]
"""


def test_a_load_test_is_all_that_a_blue_green_canary_meets(capsys: pytest.CaptureFixture[str]) -> None:
    assert "say with --load-test what a load test sends it" in refusals(capsys, BLUE_GREEN)
    tested, live = imported(BLUE_GREEN, more=("--load-test", "20%"))["stages"]
    assert tested["allocation"] == {"kind": "mirror", "fraction": "20%"}
    assert tested["evidence"]["duration"] == "10m"
    assert live["allocation"]["steps"] == [{"weight": "100%", "bake": "1m"}]
    assert "as if 20% of the requests were copied" in capsys.readouterr().out
    for wrong in ("0%", "120%", "some"):
        assert "--load-test" in refusals(capsys, BLUE_GREEN, more=("--load-test", wrong))


def test_nothing_but_the_named_files_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    """A manifest that names a file, an address or a command has none of them read, asked or run."""
    Path("secret.yaml").write_text("kind: AnalysisTemplate\nmetadata: {name: latency}\n")
    Path("run").mkdir()
    text = ROLLOUT.split("---\n")[0] + "---\n" + "\n".join(
        [
            "kind: AnalysisTemplate",
            "metadata: {name: success}",
            "spec:",
            "  metrics:",
            "    - {name: a, provider: {web: {url: 'file://secret.yaml'}}}",
            "    - {name: b, provider: {job: {spec: {command: [touch, run/x]}}}}",
            "    - {name: c, provider: {prometheus: {query: '`touch run/y` $(touch run/z)'}}, successCondition: 'result > 1'}",
        ]
    )  # fmt: skip
    error = refusals(capsys, text)
    assert "a measure of web says nothing" in error
    assert "a measure of job says nothing" in error
    assert "no AnalysisTemplate 'latency'" in error
    assert list(Path("run").iterdir()) == []


def test_bindings_are_written_filled_in_and_used(capsys: pytest.CaptureFixture[str]) -> None:
    text = ROLLOUT.replace("histogram_quantile(0.95,", "holt_winters(0.95,")
    error = refusals(capsys, text, more=("--bindings", "b.yaml"))
    assert "the query is not recognised: the function holt_winters() is not recognised" in error
    assert "written: b.yaml" in error
    skeleton = Path("b.yaml").read_text()
    assert list(yaml.safe_load(skeleton)["bindings"]) == ["latency/slow"]
    Path("b.yaml").write_text("bindings: {latency/slow: {measures: mean_latency, unit: ms, window: 2m}}\n")
    policy = imported(text.replace("> 0.5", "> 300"), more=("--bindings", "b.yaml"))
    assert [policy["checks"][1][key] for key in ("metric", "max", "over")] == ["mean_latency", "300ms", "2m"]
    Path("b.yaml").write_text("bindings: {latency/slw: {measures: nothing}}\n")
    assert "no measure 'latency/slw' in these manifests; did you mean 'latency/slow'?" in refusals(
        capsys, text, more=("--bindings", "b.yaml")
    )


def test_several_rollouts_are_several_policies_with_names_of_their_own() -> None:
    names = ("never", "never", "a.b")
    texts = [f"kind: Rollout\nmetadata: {{name: {name}}}\nspec: {{strategy: {{blueGreen: {{}}}}}}\n" for name in names]
    imported("---\n".join(texts))
    policies = yaml.safe_load(Path("made.yaml").read_text())["policies"]
    assert [policy["name"] for policy in policies] == ["never-2", "never-3", "a-b", "at-once", "never"]


def test_a_skeleton_can_be_read_whatever_metrics_are_called() -> None:
    names = ["a: b", "- c", "'", "#d", '"e"', "{f}"]
    metrics = "".join(f"    - {{name: {json.dumps(name)}, provider: {{job: {{}}}}}}\n" for name in names)
    text = ROLLOUT.split("---\n")[0].split("        - analysis:")[0]
    Path("t.yaml").write_text(f"{text}---\nkind: AnalysisTemplate\nmetadata: {{name: success}}\nspec:\n  metrics:\n{metrics}")
    assert main(["import", "t.yaml", "--bindings", "b.yaml"]) == 2
    assert list(yaml.safe_load(Path("b.yaml").read_text())["bindings"]) == [f"success/{name}" for name in names]


def test_lint_says_what_each_does_at_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    metrics, steps = "spec.metrics[0]", "spec.strategy.canary.steps"
    assert "looks 5m back, every 1m" in next(each["text"] for each in said(capsys, ROLLOUT)["remarks"] if each["line"] == 33)
    blind = ROLLOUT.replace('service="{{args.service}}"', 'app="shop"')
    assert any("nothing in the query tells the canary" in each["text"] for each in said(capsys, blind)["remarks"])
    whole = ROLLOUT.replace("trafficRouting: {nginx: {stableIngress: shop}}", "maxSurge: 1")
    assert remark(capsys, whole, f"{steps}[0].setWeight") == ("without a traffic router, whole pods give 25% for 5%: 1 of 4")
    assert "0/0, which counts as a failure" in "".join(each["text"] for each in said(capsys, ROLLOUT)["remarks"])
    endless = ROLLOUT.replace("pause: {duration: 1800}", "pause: {}")
    assert "lasts until a person promotes" in remark(capsys, endless, f"{steps}[6].pause")
    alone = ROLLOUT.split("---")[0]
    alone = alone[: alone.index("      analysis:")] + alone[alone.index("      steps:") :]
    alone = alone[: alone.index("        - analysis:")] + "        - setWeight: 50\n"
    assert "there is no analysis" in remark(capsys, alone, "spec.strategy.canary")
    perfect = ROLLOUT.replace(">= 0.99", ">= 1")
    assert "one failed request in the window fails" in remark(capsys, perfect, f"{metrics}.successCondition")
    never = ROLLOUT.replace("failureLimit: 1", "failureLimit: 4")
    assert "more than 4 of 4 measurements fail, which never happens" in remark(capsys, never, f"{metrics}.failureLimit")
    strict = CANARY.replace("min: 99", "min: 100")
    assert "one failed request" in remark(capsys, strict, "spec.analysis.metrics[0].thresholdRange.min")


@pytest.mark.parametrize("option", [("--rate", "3"), ("--error-rate", "0%"), ("--p99", "1ms"), ("--approval", "{dely: 3}")])
def test_wrong_facts_are_told_at_their_option(option: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    text = ROLLOUT.replace("pause: {duration: 1800}", "pause: {}")
    assert f"{option[0]}: " in refusals(capsys, text, more=option)


def test_facts_are_read_where_no_scenario_is_written_too(capsys: pytest.CaptureFixture[str]) -> None:
    Path("good.yaml").write_text(ROLLOUT)
    assert main(["import", "good.yaml", "--rate", "3"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("--rate: must be a rate above zero")


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    imported(ROLLOUT)
    before = Path("made.yaml").read_text()
    assert main(["import", "0.yaml", "--out", "made.yaml", "--rate", "5/s"]) == 2
    assert "made.yaml: is there already, and is not overwritten" in capsys.readouterr().err
    assert Path("made.yaml").read_text() == before


@pytest.mark.skipif(not MANIFESTS.exists(), reason="the manifests are kept beside the repository, not in it")
def test_real_manifests_are_carried_or_refused_for_what_they_lack() -> None:
    passes = Path("passes.yaml")
    passes.write_text("bindings: {random-fail/random-fail: {measures: nothing}}\n")
    templates = str(MANIFESTS / "argo" / "analysis-templates.yaml")
    expected = {
        ("argo/rollout-canary.yaml",): 0,
        ("argo/rollout-background-analysis.yaml", templates, "--bindings", "passes.yaml"): 0,
        ("argo/rollout-background-analysis.yaml", templates): 2,
        # It names a template of the cluster that is in no file.
        ("argo/rollout-analysis-step.yaml", templates, "--bindings", "passes.yaml"): 2,
        # It mirrors what a header and a path match.
        ("argo/istio-mirror.yaml",): 2,
        # It does not parse.
        ("argo/e2e-analysis-run-failfast.yaml",): 2,
        ("argo/analysis-templates.yaml",): 2,
        ("flagger/istio-canary.yaml",): 0,
        ("flagger/istio-mirror.from-docs.yaml",): 0,
        ("flagger/linkerd-canary-steps.yaml",): 0,
        ("kserve/canary.yaml",): 2,
        # Its alarm is a placeholder.
        ("sagemaker/linear.json",): 2,
    }
    for number, ((first, *more), code) in enumerate(expected.items()):
        assert main(["import", str(MANIFESTS / first), *more, "--out", f"{number}.yaml"]) == code, first
        assert Path(f"{number}.yaml").exists() == (code == 0)
        assert code or main(["check", f"{number}.yaml", "--quiet"]) == 0
