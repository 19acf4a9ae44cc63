"""`sim export`, and that what it writes is read back as the same policy."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.cli import main
from sim.interop.exporting import export_policy
from sim.interop.importing import import_manifests
from sim.interop.policy import tick_of
from sim.policy.forms import Form
from sim.scenario.reading import read
from sim.units import format_duration
from tests.interop import schemas
from tests.interop.manifests import CANARY, ROLLOUT

APPROVAL = {"delay": {"constant": "10m"}}
SCENARIO = """\
name: all
horizon: 10d
tick: 1s
traffic: {rate: 5/s}
models: [{arm: champion, uri: "models:/m@champion"}, {arm: release, uri: "models:/m@release"}]
metrics: [{name: ok, role: primary}]
policies: [%s]
"""


def form_of(policy: dict[str, Any]) -> Form:
    """The policy as a scenario has it."""
    scenario, _ = read(SCENARIO % json.dumps(policy))
    return scenario.policies[0]


def canonical(policy: dict[str, Any]) -> Any:
    """What a policy says: without settings that say nothing, and with defaults written out."""
    data = form_of(policy).model_dump(mode="json", exclude_defaults=True)
    stack = [data]
    while stack:
        part = stack.pop()
        stack += [each for value in part.values() if isinstance(value, list) for each in value if isinstance(each, dict)]
        stack += [value for value in part.values() if isinstance(value, dict)]
        if part.get("metric") == "latency":
            part.setdefault("quantile", "99%")
        if "every" in part and "metric" in part:
            # A window of one interval, first seen after one, is the interval.
            if part.get("start") == part["every"]:
                del part["start"]
            if part.get("over") == part["every"] and "start" not in part:
                del part["over"]
        part.pop("kind", None) if part.get("kind") == "threshold" else None
    return data


def there_and_back(policy: dict[str, Any], program: str, folder: Path) -> Any:
    """The policy that is read from its own manifest."""
    scenario, manifest = folder / "scenario.yaml", folder / "manifest.yaml"
    scenario.write_text(SCENARIO % json.dumps(policy))
    manifest.write_text(export_policy(scenario, policy["name"], program))
    assert schemas.problems(manifest.read_text()) == []
    found, _ = import_manifests([manifest])
    assert found.problems() == []
    (plan,) = found.plans
    back = plan.form(tick_of(plan.times), APPROVAL)
    assert found.problems() == []
    return canonical({**back, "name": policy["name"]})


SECONDS = st.integers(1, 7200).map(lambda each: format_duration(float(each)))
BOUNDS = {
    "error_rate": st.integers(1, 999).map(lambda each: f"{each / 10:.12g}%"),
    "latency": st.integers(1, 5000).map(lambda each: f"{each}ms"),
    "mean_latency": st.integers(1, 5000).map(lambda each: f"{each}ms"),
    "requests": st.integers(1, 500).map(lambda each: f"{each}/s"),
}


@st.composite
def measured(draw: st.DrawFn, no_data: st.SearchStrategy[str]) -> dict[str, Any]:
    """What a threshold check measures, and its bounds."""
    metric = draw(st.sampled_from(sorted(BOUNDS)))
    check: dict[str, Any] = {"metric": metric}
    if metric == "latency":
        check |= {"quantile": f"{draw(st.integers(50, 99))}%", "max": draw(BOUNDS[metric])}
    elif draw(st.booleans()) and metric != "requests":
        key = draw(st.sampled_from(["max_ratio", "min_ratio", "max_difference"]))
        bound = draw(BOUNDS[metric]) if key == "max_difference" else draw(st.integers(1, 40)) / 8
        return {**check, key: bound, "no_data": draw(no_data.filter(lambda each: each != "wait"))}
    else:
        check[draw(st.sampled_from(["max", "min"]))] = draw(BOUNDS[metric])
    if metric != "requests":
        check["no_data"] = draw(no_data if metric != "latency" else no_data.filter(lambda each: each != "wait"))
    if draw(st.booleans()):
        check["sees"] = "service"
    return check


@st.composite
def argo_check(draw: st.DrawFn) -> dict[str, Any]:
    check = draw(measured(st.sampled_from(["wait", "pass", "fail", "doubt"])))
    check |= {"every": draw(SECONDS), "trip": draw(st.integers(1, 9)), "over": draw(SECONDS)}
    if check.get("no_data") == "doubt":
        check["doubt_trip"] = draw(st.integers(1, 4))
    if draw(st.booleans()):
        check["start"] = draw(st.integers(1, 60).map(lambda each: f"{each}s"))
    if draw(st.booleans()):
        check["looks"] = draw(st.integers(1, 50))
    if draw(st.booleans()):
        check["report_only"] = True
    return check


STEPS = st.lists(
    st.builds(
        lambda weight, bake, approved: {
            "weight": f"{weight / 10:.12g}%",
            "bake": bake,
            **({"approval": APPROVAL} if approved else {}),
        },
        st.integers(1, 1000),
        st.integers(7200, 20_000).map(lambda each: format_duration(float(each))),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
).filter(lambda steps: all(one["weight"] != other["weight"] for one, other in pairwise(steps)))
MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(steps=STEPS, checks=st.lists(argo_check(), min_size=0, max_size=3))
def test_argo_says_a_policy_that_is_read_back_as_it_was(
    tmp_path: Path, steps: list[dict[str, Any]], checks: list[dict[str, Any]]
) -> None:
    policy: dict[str, Any] = {"name": "p", "kind": "canary", "steps": steps, "checks": checks}
    if any(check.get("no_data") == "doubt" for check in checks):
        policy["reaction"] = {"inconclusive": APPROVAL}
    if not checks:
        stage = {"name": "p", "allocation": {"kind": "ramp", "steps": steps}, "evidence": {"kind": "survive"}}
        policy = {"name": "p", "kind": "stages", "stages": [stage]}
    assert there_and_back(policy, "argo", tmp_path) == canonical(policy)


@st.composite
def counted(draw: st.DrawFn, most_s: int) -> dict[str, Any]:
    """A check that looks so often, and no longer than the stage."""
    check = {key: value for key, value in draw(argo_check()).items() if key not in ("start", "looks", "doubt_trip", "no_data")}
    every, start = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    check |= {"every": f"{every}s", "start": f"{start}s", "looks": draw(st.integers(1, 1 + (most_s - start) // every))}
    return check if check["metric"] == "requests" else {**check, "no_data": draw(st.sampled_from(["pass", "fail"]))}


@st.composite
def stages(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Stages that Argo can say one after another."""
    kinds = draw(st.lists(st.sampled_from(["mirror", "passing", "ramp"]), min_size=1, max_size=4))
    found: list[dict[str, Any]] = []
    for index, kind in enumerate(kinds):
        length_s, weight = draw(st.integers(60, 7200)), draw(st.integers(1, 100))
        evidence: dict[str, Any] = {"kind": "survive"}
        checks = draw(st.lists(counted(length_s), max_size=2))
        route: dict[str, Any] = {"kind": "mirror", "fraction": f"{weight}%"}
        if kind == "mirror":
            evidence["duration"] = format_duration(float(length_s))
        elif kind == "passing":
            route = {"kind": "fixed", "weights": [f"{100 - weight}%", f"{weight}%"]}
            checks = [
                {**{key: value for key, value in check.items() if key not in ("looks", "report_only")}, "pass_after": row}
                for check, row in draw(st.lists(st.tuples(counted(length_s), st.integers(1, 5)), min_size=1, max_size=2))
            ]
        else:
            step: dict[str, Any] = {"weight": f"{weight}%", "bake": format_duration(float(length_s))}
            if index + 1 < len(kinds) and kinds[index + 1] == "ramp":
                step["approval"] = APPROVAL
            if index and kinds[index - 1] == "ramp" and not checks:
                checks = [draw(counted(length_s))]
            route = {"kind": "ramp", "steps": [step]}
        stage = {"name": f"p-{index + 1}" if len(kinds) > 1 else "p", "allocation": route, "evidence": evidence}
        found.append(stage | ({"checks": checks} if checks else {}))
    return found


@MANY
@given(chain=stages())
def test_argo_says_a_chain_that_is_read_back_as_it_was(tmp_path: Path, chain: list[dict[str, Any]]) -> None:
    policy: dict[str, Any] = {"name": "p", "kind": "stages", "stages": chain}
    back = there_and_back(policy, "argo", tmp_path)
    if len(chain) == 1 and chain[0]["allocation"]["kind"] == "ramp" and "checks" in chain[0]:
        # One ramp under checks is read as a canary.
        policy = {"name": "p", "kind": "canary", "steps": chain[0]["allocation"]["steps"], "checks": chain[0]["checks"]}
    assert back == canonical(policy)


@MANY
@given(
    weights=st.sets(st.integers(1, 100), min_size=1, max_size=5), every=SECONDS, trip=st.integers(1, 9), approved=st.booleans(),
    checks=st.lists(measured(st.just("fail")), min_size=1, max_size=3), windows=st.lists(SECONDS, min_size=3, max_size=3),
)  # fmt: skip
def test_flagger_says_a_policy_that_is_read_back_as_it_was(
    tmp_path: Path, weights: set[int], every: str, trip: int, approved: bool, checks: list[dict[str, Any]], windows: list[str]
) -> None:
    steps: list[dict[str, Any]] = [{"weight": f"{weight}%", "bake": every} for weight in sorted(weights)]
    if approved:
        steps[-1]["approval"] = APPROVAL
    inner = [{**check, "every": every, "over": window} for check, window in zip(checks, windows, strict=False)]
    one = [{**inner[0], "trip": trip}] if len(inner) == 1 else [{"kind": "together", "trip": trip, "checks": inner}]
    policy = {"name": "p", "kind": "canary", "advance": "on_good_look", "steps": steps, "checks": one}
    policy["reaction"] = {"fail": {"delay": {"constant": every}}}
    assert there_and_back(policy, "flagger", tmp_path) == canonical(policy)


@MANY
@given(
    size=st.integers(5, 50), linear=st.booleans(), wait=st.integers(600, 3600), of=st.integers(2, 9), data=st.data(),
    checks=st.lists(measured(st.sampled_from(["wait", "pass", "fail"])), max_size=2),
)  # fmt: skip
def test_sagemaker_says_a_policy_that_is_read_back_as_it_was(
    tmp_path: Path, size: int, linear: bool, wait: int, of: int, data: st.DataObject, checks: list[dict[str, Any]]
) -> None:
    weights = [*range(size, 100, size), 100] if linear else [size, 100]
    steps = [{"weight": f"{weight}%", "bake": format_duration(float(wait))} for weight in weights]
    checks = [each for each in checks if "sees" not in each and not {"max_ratio", "min_ratio", "max_difference"} & set(each)]
    own = [{**each, "trip": data.draw(st.integers(1, of)), "of": of, "every": "1m"} for each in checks]
    policy: dict[str, Any] = {"name": "p", "kind": "canary", "steps": steps, "checks": own}
    if not own:
        stage = {"name": "p", "allocation": {"kind": "ramp", "steps": steps}, "evidence": {"kind": "survive"}}
        policy = {"name": "p", "kind": "stages", "stages": [stage]}
    assert there_and_back(policy, "sagemaker", tmp_path) == canonical(policy)


def test_a_manifest_is_imported_exported_and_imported_to_the_same_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, (program, name, text) in enumerate((("argo", "shop", ROLLOUT), ("flagger", "web", CANARY))):
        Path(f"{number}.yaml").write_text(text)
        assert main(["import", f"{number}.yaml", "--out", f"one{number}.yaml"]) == 0
        to = f"back{number}.yaml"
        assert main(["export", "--to", program, f"one{number}.yaml", "--policy", name, "--out", to]) == 0
        assert main(["import", to, "--out", f"two{number}.yaml"]) == 0
        one, two = (yaml.safe_load(Path(f"{which}{number}.yaml").read_text())["policies"][0] for which in ("one", "two"))
        assert canonical(one) == canonical(two)
        capsys.readouterr()


ONE = "{name: p, kind: canary, steps: [{weight: 5%%, bake: 1m}], checks: [%s]}"
CHAIN = "{name: p, kind: stages, stages: [%s, %s]}"
SHADOW = "{name: s, kind: shadow, mirror: 50%, duration: 1h, checks: [{metric: error_rate, max: 1%, every: 1m}]}"
RAMP = "{name: r, kind: canary, steps: [{weight: 5%, bake: 9m}], checks: [{metric: error_rate, max: 1%, every: 1m}]}"
AB = "{name: a, kind: ab, evidence: {kind: fixed_horizon, mde: 5%}}"


@pytest.mark.parametrize(
    ("program", "policy", "message"),
    [
        ("argo", "{name: p, kind: hold}", "a policy of the kind hold"),
        ("argo", ONE.replace("5%%", "0.00001%%") % "{metric: error_rate, max: 1%}", "whole numbers only"),
        ("argo", ONE % "{metric: ok, min: 1%}", "its queries measure"),
        ("argo", ONE % "{metric: error_rate, max: 1%, trip: 2, consecutive: true}", "'consecutive'"),
        ("argo", ONE % "{metric: error_rate, max: 1%, over: stage}", "'over: stage'"),
        ("argo", ONE % "{kind: rate_increase}", "of the kind rate_increase"),
        ("argo", CHAIN % (SHADOW, AB), "evidence of the kind fixed_horizon"),
        (
            "argo",
            CHAIN % ("{kind: bandit, name: b, evidence: {kind: survive, duration: 1h}}", SHADOW),
            "an allocation of the kind",
        ),
        ("argo", CHAIN % (RAMP, RAMP.replace("name: r", "name: s")), "two ramps, one after the other"),
        (
            "argo",
            CHAIN % (RAMP.replace("bake: 9m}", "bake: 9m}, {weight: 9%, bake: 1h}"), SHADOW),
            "checks that go on over several",
        ),
        ("argo", CHAIN % (SHADOW.replace("50%", "12.5%"), RAMP), "a mirror of 12.5%: whole numbers only"),
        ("argo", CHAIN % (SHADOW.replace("duration: 1h", "duration: 1h, max_duration: 2h"), RAMP), "'max_duration'"),
        ("argo", CHAIN % (SHADOW.replace("every: 1m", "every: 1m, looks: 90"), RAMP), "for longer than the stage"),
        ("argo", CHAIN % (SHADOW, RAMP.replace("every: 1m", "every: 1m, pass_after: 3")), "'pass_after' where nothing waits"),
        ("argo", CHAIN % (RAMP, SHADOW.replace("name: s", "name: t, on: {fail: inconclusive}")), "'on'"),
        ("flagger", CHAIN % (SHADOW, RAMP), "a policy of 2 stages"),
        ("flagger", ONE % "{metric: error_rate, max: 1%, no_data: fail}", "'advance: by_clock'"),
        ("sagemaker", ONE % "{metric: error_rate, max: 1%, trip: 2}", "other weights"),
    ],
)
def test_what_a_program_cannot_say_is_told_at_its_line(
    program: str, policy: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "a.yaml", tmp_path / "out.yaml"
    file.write_text(SCENARIO % policy)
    assert main(["export", "--to", program, str(file), "--policy", "p", "--out", str(out)]) == 2
    (told,) = [line for line in capsys.readouterr().err.splitlines() if message in line]
    assert told.startswith(f"{file}:7:")
    assert f"{program} cannot say" in told
    assert not out.exists()


def test_a_policy_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(SCENARIO % "{name: hold, kind: hold}")
    assert main(["export", "--to", "argo", str(file), "--policy", "hld"]) == 2
    assert "--policy: no policy 'hld'; did you mean 'hold'?" in capsys.readouterr().err


@pytest.mark.skipif(not schemas.FOLDER, reason=schemas.WHY_NOT)
@pytest.mark.parametrize("kind", ["Rollout", "AnalysisTemplate", "Canary"])
def test_schemas_of_the_programs_are_asked(kind: str) -> None:
    """With the schemas at hand every test above asks them; here, that they find a wrong field and a missing one."""
    version = "flagger.app/v1beta1" if kind == "Canary" else "argoproj.io/v1alpha1"
    assert schemas.problems(f"{{apiVersion: {version}, kind: {kind}, metadata: {{name: a}}, spec: {{nosuch: 1}}}}")
