"""What an engine cannot play is said by `sim check` as by a run: at the line, in the same words, without any model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sim.cli import main
from sim.engine.catalogue import ENGINES
from sim.errors import InputError
from sim.run.plan import needs_of
from sim.scenario.schema import Scenario
from sim.workflow import run_scenario
from tests.worlds import make_world

MODELS = [{"outcomes": {"conversion": {"bernoulli": 0.05}, "sale": {"bernoulli": 0.05}}, "latency": {"constant": "45ms"}}] * 2
LATE = {"name": "conversion", "role": "primary", "delay": {"exponential": "1h"}}
AB = {"name": "ab", "kind": "ab", "evidence": {"kind": "mixture_sprt", "mde": "2%"}}
APART = {"by_outcome": {"success": {"exponential": "1h"}, "failure": {"constant": "2h"}}}
BANDIT = {
    "name": "bandit", "kind": "bandit", "allocation": {"kind": "thompson", "floor": "5%"},
    "evidence": {"kind": "mixture_sprt", "mde": "2%", "tally": "within_ticks"},
}  # fmt: skip
GAMMA = {"gamma": {"mean": "1h", "sd": "10m"}}
# Every reason of the aggregate engine that does not depend on what the models are.
REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"capacity": {"champion": {"replicas": 4, "concurrency": 8}}}, "capacity: requests compete"),
    ({"retries": {"attempts": 2, "on": ["error"], "backoff": "100ms"}}, "retries: an attempt depends"),
    ({"users": {"count": 100}}, "users.assignment: the requests of a sticky user"),
    ({"users": {"count": 100, "assignment": "request", "similarity": "10%"}}, "users.similarity: the outcomes"),
    ({"traffic": {"rate": "1/s", "arrivals": "regular"}}, "traffic.arrivals: regular arrivals"),
    (
        {"metrics": [LATE], "traffic": {"rate": "1/s", "bursts": {"factor": 5, "every": "1h", "duration": "1m"}}},
        "with traffic.bursts the rate changes within a tick",
    ),
    (
        {
            "metrics": [
                {**LATE, "delay": APART, "attribution_window": "2h"},
                {"name": "sale", "delay": APART, "attribution_window": "2h"},
            ]
        },
        "windows, and delays by outcome, of 2 metrics make more than 16 patterns",
    ),
    (
        {"metrics": [LATE], "traffic": {"trace": {"file": "trace.csv", "count": "requests", "interval": "4m"}}},
        "with traffic.trace the rate changes within a tick",
    ),
    ({"metrics": [LATE], "policies": [BANDIT]}, "what is known in a tick was sent under the shares of many"),
]


def written(folder: Path, **changes: Any) -> Path:
    scenario = {
        "name": "small", "question": "Which?", "replications": 4, "horizon": "4h", "tick": "10m", "engine": "aggregate",
        "traffic": {"rate": "1/s"},
        "models": [{"arm": arm, "uri": f"models:/m/{number}"} for number, arm in enumerate(("champion", "challenger"), 1)],
        "metrics": [{"name": "conversion", "role": "primary"}], "policies": [AB], **changes,
    }  # fmt: skip
    (folder / "trace.csv").write_text("requests\n" + "".join(f"{200 + 7 * count % 60}\n" for count in range(60)))
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump(scenario))
    return file


@pytest.mark.parametrize(("changes", "said"), REFUSALS, ids=[said for _, said in REFUSALS])
def test_check_says_what_a_run_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path, **changes)
    assert main(["check", str(file)]) == 2
    found = capsys.readouterr().err
    line = next(line for line in found.splitlines() if said in line)
    number = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if text.startswith("engine:"))
    assert line.startswith(f"{file}:{number}:")
    assert "engine: aggregate cannot play this: " in line
    # By the engine itself, once the world is built.
    scenario = Scenario.model_validate(yaml.safe_load(file.read_text()))
    world = make_world(scenario, MODELS)
    refused = ENGINES["aggregate"].refused(world, needs_of(scenario, world))
    assert [line.partition("cannot play this: ")[2]] == refused
    with pytest.raises(InputError, match="cannot play this"):
        run_scenario(file, models=MODELS, reports=tmp_path / "reports", log=False)
    assert not (tmp_path / "reports").exists()


def test_shares_that_stay_are_not_refused(tmp_path: Path) -> None:
    assert main(["check", "--quiet", str(written(tmp_path, metrics=[LATE]))]) == 0


DRIFT = {"kind": "drift", "arm": "challenger", "metric": "conversion", "at": "1h", "duration": "1h", "to": "50%"}
AMOUNT = {"conversion": {"gamma": {"mean": 3, "sd": 2}}}
AMOUNTS = [{"outcomes": AMOUNT, "error_rate": "1%", "latency": {"constant": "45ms"}}] * 2


def test_what_takes_the_models_to_know_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A late drift is refused of amounts only; the file does not say which outcomes are amounts."""
    file = written(tmp_path, metrics=[LATE], policies=[{"name": "hold", "kind": "hold"}], timeline=[DRIFT])
    assert main(["check", str(file), "--quiet"]) == 0
    reason = "metrics.conversion.delay: the mean of an amount changes from tick to tick"
    said = f"small.yaml:1:9 engine: aggregate cannot play this where its outcomes are amounts: {reason}"
    assert said in capsys.readouterr().err
    with pytest.raises(InputError, match=f"engine: aggregate cannot play this: {reason}"):
        run_scenario(file, models=AMOUNTS, reports=tmp_path / "reports", log=False)
    assert run_scenario(file, models=MODELS, reports=tmp_path / "reports", log=False).folder.is_dir()


@pytest.mark.parametrize(
    ("policy", "place"),
    [
        ({"name": "b", "kind": "bandit", "allocation": {"kind": "kl_ucb", "highest": 1000}}, "allocation"),
        ({"name": "b", "kind": "ab", "evidence": {"kind": "betting", "highest": 1000}}, "evidence"),
    ],
)
def test_failures_beyond_the_bounds_are_said_by_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], policy: dict[str, Any], place: str
) -> None:
    """Without `lowest` no outcome is below 0, and a failed request counts as -5."""
    said = f"policies[0].{place}.lowest: must be at most -5, the least conversion that a request can have; got 0"
    metric = {"name": "conversion", "role": "primary", "failure": {"worth": -5}}
    file = written(tmp_path, metrics=[metric], policies=[policy], engine="auto")
    assert main(["check", str(file)]) == 2
    assert f"{file}:" in (found := capsys.readouterr().err)
    assert said in found
    with pytest.raises(InputError) as refused:
        run_scenario(file, models=AMOUNTS, reports=tmp_path / "reports", log=False)
    assert said in str(refused.value)
    # Failures that are not counted are beyond no bound.
    file = written(tmp_path, metrics=[metric], policies=[policy], engine="auto", analysis="successes")
    assert main(["check", str(file)]) == 0


def test_a_scenario_without_a_primary_metric_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is usually varied besides is made of the primary metric, and not asked for where there is none."""
    for keys in ({}, {"sensitivity": {"traffic.rate": ["2/s"]}}):
        metrics = [{"name": "conversion", "role": "secondary"}]
        file = written(tmp_path, metrics=metrics, policies=[{"name": "hold", "kind": "hold"}], engine="auto", **keys)
        assert main(["check", str(file)]) == 2
        assert "metrics: exactly one metric must have the role primary, got 0" in capsys.readouterr().err
