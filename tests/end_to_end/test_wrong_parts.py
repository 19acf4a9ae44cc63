"""Parts of a user's own that fail: a message with part, method and file, exit code 2, and nothing half-written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.arrays import Floats
from sim.cli import main
from sim.errors import PartError
from sim.policy.allocation import Fixed
from sim.policy.base import Evidence, View
from sim.policy.evidence import FixedHorizon
from sim.policy.guarded import guard
from sim.policy.stages import Stage
from sim.policy.stretch import Quiet
from sim.testing.settings import make_setting

MODELS = """\
model: parts
versions:
  - {alias: champion, outcomes: {sale: {bernoulli: 20%}}, latency: {constant: 20ms}}
  - {alias: challenger, outcomes: {sale: {bernoulli: 24%}}, latency: {constant: 20ms}}
"""
SCENARIO = """\
name: with-parts
replications: 4
horizon: 1h
tick: 1m
traffic: {rate: 5/s}
models: [{arm: champion, uri: "models:/parts@champion"}, {arm: challenger, uri: "models:/parts@challenger"}]
metrics: [{name: sale, role: primary}]
policies:
  - {name: mine, kind: bandit, allocation: {kind: mine}, evidence: {kind: verdict}}
"""
PARTS = """\
from typing import Literal
import numpy as np
from pydantic import Field
from sim.policy.base import Allocation, Evidence

class Mine(Allocation):
    kind: Literal["mine"] = "mine"
    FIELD
    def live(self, view):
        return np.full(view.arms_in.shape, 0.5)
    EXTRA

class Judge(Evidence):
    kind: Literal["verdict"] = "verdict"
    reads_reward = False
    def judge(self, view):
        return np.zeros(view.arms_in.shape, np.int8)
"""
LIVE = "return np.full(view.arms_in.shape, 0.5)"
JUDGE = "return np.zeros(view.arms_in.shape, np.int8)"


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("parts")
    (folder / "models.yaml").write_text(MODELS)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    assert main(["models", "register", str(folder / "models.yaml"), "--tracking-uri", uri]) == 0
    return uri


def files(folder: Path, old: str, new: str) -> tuple[str, str]:
    scenario, parts = folder / "rollout.yaml", folder / "mine.py"
    scenario.write_text(SCENARIO)
    text = PARTS.replace(old, new).replace("    FIELD\n", "").replace("    EXTRA\n", "")
    parts.write_text(text)
    return str(scenario), str(parts)


def run(folder: Path, registered: str, scenario: str, parts: str, *more: str) -> int:
    reports = str(folder / "reports" / "of runs")
    options = ("--registry-uri", registered, "--no-tracking", "--quiet", "--reports", reports)
    return main(["run", scenario, "--parts", parts, *options, *more])


def test_parts_that_keep_their_protocol_are_played(registered: str, tmp_path: Path) -> None:
    assert run(tmp_path, registered, *files(tmp_path, "", "")) == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (LIVE, "return np.tile([-1.0, 2.0], (len(view.arms_in), 1))", "Mine.live: must answer shares of live traffic (4, 2)"),
        (
            LIVE,
            "return np.ones(view.arms_in.shape)",
            "Mine.live: must answer shares of live traffic (4, 2), from 0 to 1, each row",
        ),
        (LIVE, "return np.full(view.arms_in.shape, 0.5 + 0j)", "Mine.live: must answer shares of live traffic"),
        (LIVE, "return np.full(view.arms_in.shape, np.nan)", "Mine.live: must answer shares of live traffic"),
        (LIVE, "return np.full((1, 2), 0.5)", "Mine.live: must answer shares of live traffic (4, 2)"),
        (LIVE, "return None", "got None"),
        (LIVE, "return 'half'", "got 'half'"),
        (LIVE, "return 1 / 0", "mine.py:9:1 Mine.live: raised ZeroDivisionError: division by zero"),
        (LIVE, "raise SystemExit(0)", "mine.py:9:1 Mine.live: raised SystemExit: 0"),
        ("def live(self, view):", "async def live(self, view):", "Mine.live: must answer shares of live traffic"),
        ("def live(self, view):", "def live(self):", "Mine.live: raised TypeError"),
        (
            "    EXTRA",
            "    def memory(self, setting): return 5",
            "Mine.memory: must answer a dict of arrays of numbers by name; got 5",
        ),
        (JUDGE, "return None", "Judge.judge: must answer findings (4, 2)"),
        (JUDGE, "return np.full(view.arms_in.shape, 99)", "Judge.judge: must answer findings (4, 2) (0 UNDECIDED, 1 PASS"),
        (JUDGE, "raise ValueError('no')", "Judge.judge: raised ValueError: no"),
    ],
)
def test_what_fails_in_a_run_is_said(
    registered: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, says: str
) -> None:
    scenario, parts = files(tmp_path, old, new)
    assert main(["check", scenario, "--parts", parts]) == 0
    assert run(tmp_path, registered, scenario, parts) == 2
    err = capsys.readouterr().err
    assert says in err
    assert f"{parts}:" in err
    assert err.endswith("sim: a part failed; nothing was changed\n")
    assert ("Traceback" in err) == ("raised" in says)
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("    EXTRA", "    def needs(self, setting): return ('a', 5)", "Mine.needs: must answer a tuple of columns"),
        ("    EXTRA", "    def needs(self, setting): raise KeyError('x')", "Mine.needs: raised KeyError: 'x'"),
        (
            "    EXTRA",
            "    def registered_problems(self, setting): return None",
            "Mine.registered_problems: must answer a list of pairs",
        ),
    ],
)
def test_what_fails_once_models_are_known_is_said_by_check_and_run(
    registered: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, says: str
) -> None:
    scenario, parts = files(tmp_path, old, new)
    assert main(["check", scenario, "--parts", parts, "--registry-uri", registered]) == 2
    assert says in capsys.readouterr().err
    assert run(tmp_path, registered, scenario, parts) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("import numpy as np", "import numpy as np, sys\nsys.exit(0)", "mine.py:3:1: cannot be run: SystemExit: 0"),
        (
            "    EXTRA",
            "    def declared_problems(self, setting): return 'abc'",
            "Mine.declared_problems: must answer a list of pairs",
        ),
        (
            "    EXTRA",
            "    def declared_problems(self, setting): return 1 / 0",
            "Mine.declared_problems: raised ZeroDivisionError",
        ),
        ("    FIELD", "    power: int = Field('abc')", "the default of Mine.power"),
        ("    FIELD", "    thing: object = object()", "the default of Mine.thing cannot be written in a file"),
    ],
)
def test_what_fails_without_models_is_said_by_check(
    registered: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, says: str
) -> None:
    scenario, parts = files(tmp_path, old, new)
    assert main(["check", scenario, "--parts", parts]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert f"{parts}:" in err


def test_an_unknown_kind_leads_to_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario, _ = files(tmp_path, "", "")
    assert main(["check", scenario]) == 2
    err = capsys.readouterr().err
    assert "allocation.kind: must be one of fixed, ramp" in err
    assert "got 'mine'; a part of your own needs --parts FILE" in err


def test_a_worker_holds_parts_too_and_says_what_is_kept(
    registered: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario, parts = files(tmp_path, LIVE, "return np.ones(view.arms_in.shape)")
    text = Path(scenario).read_text()
    Path(scenario).write_text(text.replace("policies:\n", "policies:\n  - {name: hold, kind: hold}\n"))
    assert run(tmp_path, registered, scenario, parts, "--workers", "2") == 2
    err = capsys.readouterr().err
    assert "Mine.live: must answer shares of live traffic" in err
    folders = list((tmp_path / "reports" / "of runs").glob("with-parts-*")) if (tmp_path / "reports").exists() else []
    assert ("what was finished before is in" in err) == bool(folders)


@pytest.mark.parametrize("answer", [5, Quiet(np.zeros((3, 1)), pooled=False), Quiet(np.zeros((2, 1)), False, "soon")])  # type: ignore[arg-type]
def test_until_when_a_rule_finds_nothing_is_held_to_its_protocol(answer: Any) -> None:
    """Only an engine that plays many ticks at once asks for it."""

    class Waits(Evidence):
        kind: str = "waits"

        def quiet(self, view: View) -> Any:
            return answer

    guard(Waits, "evidence")
    view = View(
        make_setting(2), 0, np.zeros(2, int), np.ones((2, 2), bool), np.zeros((2, 2, 0)), np.zeros((2, 2, 0)), {}, False
    )
    with pytest.raises(PartError, match=re.escape("must answer a Quiet (sim.policy.stretch) of information (2, 1), or None")):
        Waits().quiet(view)


def test_a_class_that_inherits_says_itself_that_it_rests() -> None:
    """Fixed weights of somebody's own may change: an engine that played many ticks at once would not see it."""

    class Turning(Fixed):
        kind: str = "turning"  # type: ignore[assignment]

        def live(self, view: View) -> Floats:
            return super().live(view)[:, ::-1]

    setting, test = make_setting(2), FixedHorizon(sample=1000)
    assert Stage(allocation=Fixed(), evidence=test).rests(setting)
    turning = Stage.model_construct(**{**dict(Stage(allocation=Fixed(), evidence=test)), "allocation": Turning()})
    assert not turning.rests(setting)
