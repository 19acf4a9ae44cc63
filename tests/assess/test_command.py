"""`sim assess` from files, as people run it."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sim.assess.editing import inserted, replaced
from sim.assess.rollout import of_manifests
from sim.assess.settings import settings_of
from sim.cli import main
from sim.interop.writing import Facts
from sim.stats.reliability import aborts, rolls_back
from tests.interop.manifests import ALARMS, CANARY, DEPLOYMENT, ROLLOUT

# A look at all requests of a minute, at 20/s, fails by .1 where one failed request fails it.
FAILS = -math.log(0.9)

ARGO = """\
kind: Rollout
metadata: {name: web}
spec:
  strategy:
    canary:
      canaryService: web-canary
      trafficRouting: {nginx: {}}
      analysis: {templates: [{templateName: none-failed}]}
      steps: [{setWeight: 50}, {pause: {duration: 12m}}]
---
kind: AnalysisTemplate
metadata: {name: none-failed}
spec:
  metrics:
    - name: share
      # One look a minute.
      interval: 1m
      initialDelay: 1m
      failureLimit: LIMIT
      successCondition: result[0] >= 1
      provider:
        prometheus:
          query: sum(rate(hits{service="web-canary",code!~"5.."}[1m])) / sum(rate(hits{service="web-canary"}[1m]))
"""
FLAGGER = """\
kind: Canary
metadata: {name: web}
spec:
  targetRef: {name: web}
  analysis:
    interval: 1m
    threshold: THRESHOLD
    maxWeight: 100
    stepWeight: 10
    metrics: [{name: share, templateRef: {name: share}, thresholdRange: {max: 0}}]
---
kind: MetricTemplate
metadata: {name: share}
spec:
  provider: {type: prometheus}
  query: sum(rate(hits{code=~"5.."}[{{ interval }}])) / sum(rate(hits[{{ interval }}]))
"""


def assessed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert main(["assess", *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["assess", *words]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    return captured.err


def written(folder: Path, text: str, name: str = "web.yaml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def near(found: dict[str, Any], expected: float) -> bool:
    """Whether an estimate is within 4 standard errors of what theory says."""
    return bool(abs(found["estimate"] - expected) < 4 * math.sqrt(expected * (1 - expected) / found["n"]))


@pytest.mark.parametrize(("limit", "published"), [(0, 0.7176), (1, 0.3410), (3, 0.0256)])
def test_false_aborts_of_argo_are_those_of_independent_looks(
    limit: int, published: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert aborts(limit, 12, 0.1) == pytest.approx(published, abs=1e-4)
    rate = f"{100 * FAILS / 600:.8f}%"
    file = written(tmp_path, ARGO.replace("LIMIT", str(limit)))
    words = ("--rate", "20/s", "--error-rate", rate, "--delta", "50%", "--replications", "4000", "--no-neighbours")
    (day,) = assessed(capsys, file, *words)["traffic"]
    same, worse = day["versions"]
    assert near(same["back"], published)
    # Half of all requests fail: each look does, the first after a minute.
    assert worse["back"]["estimate"] == 1.0
    assert worse["half"]["estimate"] == worse["most"]["estimate"] == 60.0 * (limit + 1)
    # The canary has half of 20/s, and half of what it answers is bad.
    assert worse["bad"]["estimate"] == pytest.approx(5 * 60 * (limit + 1), rel=0.02)
    assert day["false_alarms_per_year"]["estimate"] == pytest.approx(50 * same["back"]["estimate"])


@pytest.mark.parametrize(("threshold", "published"), [(2, 0.3026), (5, 0.0092)])
def test_false_rollbacks_of_flagger_are_those_of_independent_looks(
    threshold: int, published: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rolls_back(threshold, 10, 0.1) == pytest.approx(published, abs=1e-4)
    file = written(tmp_path, FLAGGER.replace("THRESHOLD", str(threshold)))
    words = ("--rate", "20/s", "--error-rate", f"{100 * FAILS / 1200:.8f}%", "--replications", "4000", "--no-neighbours")
    (day,) = assessed(capsys, file, *words, "--delta", "50%")["traffic"]
    same, worse = day["versions"]
    assert near(same["back"], published)
    # Every look fails: the rollback is at the tick after the last that it takes.
    assert worse["half"]["estimate"] == 60.0 * (threshold + 1)


def test_the_smallest_change_is_a_patch_that_applies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, ARGO.replace("LIMIT", "1"))
    words = ("--rate", "20/s", "--error-rate", f"{100 * FAILS / 600:.8f}%", "--replications", "1000", "--delta", "50%")
    changes = tmp_path / "mend.diff"
    found = assessed(capsys, file, *words, "--false-abort", "5%", "--catch", "50%:6m", "--patch", str(changes))
    assert "no worse" not in found["notes"]
    mend = found["mend"]
    # With 12 looks that fail by .1, limits of 1, 2, 3 abort in 34%, 11% and 2.6%; other settings may do with less.
    assert all(each["met"] for each in mend["wishes"])
    assert mend["change"]
    assert changes.read_text() == mend["patch"] != ""
    before = Path(file).read_text()
    copy = tmp_path / "copy.yaml"
    copy.write_text(before)
    subprocess.run(["patch", str(copy), str(changes)], check=True, capture_output=True)
    after = copy.read_text()
    assert after != before
    assert "# One look a minute." in after
    assert Path(file).read_text() == before
    # What the patch makes of the file meets it, and the file as it was does not.
    rules = ("--require", "false_abort < 5%", "--require", "caught@50% > 95%")
    assessed(capsys, str(copy), *words, "--no-neighbours", *rules)
    assessed(capsys, file, *words, "--no-neighbours", *rules, code=3)
    alone = {each["setting"].rpartition(" ")[2]: each["least"] for each in found["needed"]["alone"]}
    assert alone == {"failureLimit": "3"}


def test_neighbours_are_of_every_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, ARGO.replace("LIMIT", "1"))
    words = ("--rate", "20/s", "--error-rate", f"{100 * FAILS / 600:.8f}%", "--replications", "400", "--delta", "50%")
    found = assessed(capsys, file, *words)
    by_limit = {each["value"]: each for each in found["neighbours"] if each["setting"].endswith("failureLimit")}
    assert near(by_limit["0"]["false_abort"], 0.7176)
    assert near(
        by_limit["2"]["false_abort"], 1 - sum(math.comb(12, failed) * 0.1**failed * 0.9 ** (12 - failed) for failed in range(3))
    )
    present = found["neighbours"][0]
    assert present["setting"] == ""
    assert present["time_to_ship_s"]["estimate"] == 720.0
    # The condition has no neighbours: twice and half of no failures are none.
    turned = {each["setting"].rpartition(" ")[2] for each in found["neighbours"][1:]}
    assert turned == {"duration", "interval", "failureLimit", "query"}


def test_pages_night_and_requirements(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, ROLLOUT)
    html, md = tmp_path / "a.html", tmp_path / "a.md"
    words = ["--rate", "30/s", "--night-rate", "1/s", "--replications", "100", "--no-neighbours", "--delta", "20%"]
    pages = ["--html", str(html), "--markdown", str(md)]
    assert main(["assess", file, *words, *pages, "--require", "night.false_abort > 99%"]) == 3
    captured = capsys.readouterr()
    assert "not shown: night.false_abort > 99%" in captured.err
    for text in (captured.out, html.read_text(), md.read_text()):
        assert "At night: 1/s" in text
        assert "+20 points of errors" in text
        assert "50% slower" in text
    assert main(["assess", file, *words, "--require", "caught@20% > 50%"]) == 0


@pytest.mark.parametrize(
    ("texts", "keys"),
    [
        ([ROLLOUT], {"duration", "interval", "failureLimit", "successCondition", "failureCondition", "query"}),
        ([CANARY], {"interval", "threshold", "min", "max"}),
        ([DEPLOYMENT, ALARMS], {"WaitIntervalInSeconds", "Period", "EvaluationPeriods", "DatapointsToAlarm", "Threshold"}),
    ],
)
def test_settings_stand_in_the_files_of_every_program(texts: list[str], keys: set[str]) -> None:
    rollout = of_manifests({f"{number}.yaml": text for number, text in enumerate(texts)}, Facts(rate="30/s"), None, None)
    found = settings_of(rollout)
    assert {setting.path.rpartition(".")[2] for setting in found} == keys
    for setting in found:
        for value in setting.values:
            changed = [file for file in rollout.texts if rollout.texts[file] != value.rollout.texts[file]]
            assert changed == [setting.file]
            assert value.rollout.policy != rollout.policy


def test_a_policy_of_a_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["models", "register", "checkout"]) == 0
    capsys.readouterr()
    words = ("--policy", "limit-2", "--replications", "200", "--delta", "10%", "--rate", "2/s")
    found = assessed(capsys, "argo-rollout", *words, "--false-abort", "2%")
    (day,) = found["traffic"]
    assert day["rate"] == "2/s"
    assert day["versions"][1]["back"]["estimate"] == 1.0
    settings = {each["setting"].rpartition(" ")[2] for each in found["neighbours"]}
    assert {"trip", "every", "max", "min_requests"} <= settings
    assert found["mend"]["wishes"][0]["met"]
    # Steps are shared with other policies by an alias, and are left alone.
    assert "bake" not in settings


def test_what_checks_nothing_catches_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = ARGO[: ARGO.index("---")].replace("      analysis: {templates: [{templateName: none-failed}]}\n", "")
    found = assessed(capsys, written(tmp_path, text), "--rate", "20/s", "--replications", "100", "--no-neighbours")
    assert any("nothing is ever caught" in note for note in found["notes"])
    assert all(row["back"]["estimate"] == 0.0 for row in found["traffic"][0]["versions"])


def test_the_same_bits_with_any_number_of_workers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, ARGO.replace("LIMIT", "1"))
    words = (file, "--rate", "20/s", "--replications", "200", "--delta", "1%", "--no-neighbours")
    assert assessed(capsys, *words, "--workers", "1") == assessed(capsys, *words, "--workers", "2")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--rate", "30"], "--rate: must be a rate above zero"),
        (["--rate", "1/y"], "--rate: too low to tell anything: 1/y brings"),
        (["--rate", "30/s", "--night-rate", "1/y"], "--night-rate: too low to tell anything"),
        (["--delta", "100%"], "--delta: more than what 0.1% leaves of 100%; got 100%"),
        (["--delta", "0%"], "--delta: a version that is worse differs by more than 0%; got '0%'"),
        (["--catch", "5%"], "--catch: must be DELTA:TIME, such as 5%:10m or slower-50%:10m; got '5%'"),
        (["--catch", "0%:10m"], "--catch: must be DELTA:TIME"),
        (["--false-abort", "0%"], "--false-abort: must be above 0% and below 100%; got '0%'"),
        (["--require", "false_aborts < 2%"], "--require: no measure 'false_aborts'; did you mean 'false_abort'?"),
        (["--require", "caught > 95%"], "caught is of a version that is worse, such as caught@5%; got 'caught > 95%'"),
        (["--require", "caught@7% > 95%"], "--require: no version '7%' is tried; there are"),
        (["--require", "night.false_abort < 2%"], "--require: there is no night without --night-rate"),
        (["--require", "false_abort = 2%"], "--require: must be MEASURE <, <=, > or >= VALUE"),
        (["--replications", "10"], "--replications: must be from 100 to 1,000,000; got 10"),
        (["--patch", "mend.diff"], "--patch: needs what is wanted: --false-abort, --catch or both"),
        (["--policy", "other"], "--policy: no rollout 'other'; there is web"),
    ],
)
def test_bad_input_names_the_option_and_the_rule(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path, ARGO.replace("LIMIT", "1"))
    assert told in refused(capsys, file, *words)
    assert [each.name for each in tmp_path.iterdir()] == ["web.yaml"]


def test_scenarios_that_have_no_one_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "--policy: is required: the scenario has several policies" in refused(capsys, "argo-rollout")
    assert "models: a champion and one challenger are needed; got 3 arms" in refused(capsys, "quickstart", "--policy", "canary")
    assert "--error-rate: is what a manifest does not say" in refused(
        capsys, "argo-rollout", "--policy", "limit-0", "--error-rate", "1%"
    )


@pytest.mark.parametrize(
    ("text", "mark", "new"),
    [("a: '5m'\n", (1, 4), "a: x\n"), ("a:\n  - b: 5  # c\n", (2, 8), "a:\n  - b: x  # c\n"), ('{"a": 1}', (1, 7), '{"a": x}')],
)
def test_only_the_value_is_changed(text: str, mark: tuple[int, int], new: str) -> None:
    assert replaced(text, mark, lambda _: "x") == new


def test_keys_are_added_in_json_too() -> None:
    assert inserted('{"a": {"b": 1}}', (1, 7), "c", "2") == '{"a": {"c": 2, "b": 1}}'
