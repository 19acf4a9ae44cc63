"""Forecasts of a shadow, from what was seen of mirrored calls; and on an engine that plays every request."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.stats import binom, norm

from sim.cli import main
from sim.forecast.forecasting import Forecast, forecast
from tests.forecast.scenarios import scenario

MODEL = {"outcomes": {"conversion": {"bernoulli": 0.3}}, "latency": {"constant": "50ms"}, "error_rate": 0.04}
SD, RATE, SENT = 0.2, 0.04, 4800
SHADOW_FIRST = {
    "name": "it",
    "kind": "stages",
    "stages": [
        {
            "name": "shadow",
            "kind": "shadow",
            "mirror": "100%",
            "duration": "4d",
            "checks": [{"metric": "error_rate", "max": "4.4%", "over": "stage", "every": "4d", "min_requests": 500}],
        },
        {"name": "test", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 9000}},
    ],
}


SAID = scenario(
    tick="1d",
    policies=[SHADOW_FIRST],
    metrics=[{"name": "conversion", "role": "primary"}, {"name": "error_rate", "role": "guardrail", "max": "10%"}],
    truth={"challenger": {"error_rate": {"relative_effect": {"normal": {"mean": "0%", "sd": "20%"}}}}},
)


def table(file: Path, errors: int, mirrored: int = SENT) -> Path:
    """Two days of the shadow, in which so many of the mirrored calls failed."""
    rows = [("champion", SENT, SENT, 192, 1382, 0, 0, 0), ("challenger", 0, 0, 0, 0, mirrored, mirrored, errors)]
    names = "requests,responses,errors,conversion,mirror.requests,mirror.responses,mirror.errors"
    lines = [f"2d,{arm},{','.join(map(str, values))}" for arm, *values in rows]
    file.write_text("\n".join([f"time,arm,{names}", *lines]) + "\n", encoding="utf-8")
    return file


def forecast_of(seen: Path, replications: int, **changes: Any) -> Forecast:
    return forecast({**SAID, **changes}, "it", seen, [MODEL, MODEL], replications=replications)


@pytest.mark.parametrize("errors", [150, 192, 240])
def test_mirrored_errors_tell_what_is_true(tmp_path: Path, errors: int) -> None:
    found = forecast_of(table(tmp_path / "seen.csv", errors), 100)
    (believed,) = found.believed
    # Bayes' rule on a grid: errors are binomial among the calls, the relative effect is normal.
    effect = np.linspace(-0.99, 1.5, 5001)
    weight = norm.pdf(effect, 0, SD) * binom.pmf(errors, SENT, RATE * (1 + effect))
    weight /= weight.sum()
    mean = float((weight * effect).sum())
    sd = math.sqrt(float((weight * (effect - mean) ** 2).sum()))
    assert believed.metric == "error_rate"
    assert believed.informed
    assert believed.mean == pytest.approx(mean, abs=0.03 * sd)
    assert believed.sd == pytest.approx(sd, rel=0.03)
    assert dict(found.left_out)["half"] == "the policy mirrors requests, which a shift of live traffic would not touch"


@pytest.mark.parametrize("errors", [192, 216])
def test_the_check_of_a_shadow_goes_on_from_what_it_saw(tmp_path: Path, errors: int) -> None:
    """By the end of the shadow twice as much was mirrored: the first half as seen, the other drawn given the truth."""
    found = forecast_of(table(tmp_path / "seen.csv", errors), 600)
    (believed,) = found.believed
    mean, sd = RATE * (1 + believed.mean), RATE * believed.sd
    spread = math.sqrt(SENT * mean * (1 - mean) + (SENT * sd) ** 2)
    trips = norm.sf((0.044 * 2 * SENT - errors - SENT * mean) / spread)
    # Whoever trips the check is rolled back at the end of the shadow, two days on; others are tested for days.
    assert abs(trips - 0.5) > 0.1
    assert (found.ways[0].half_by_s == 2 * 86_400) == (trips > 0.5)


def test_fewer_mirrored_calls_tell_less(tmp_path: Path) -> None:
    few, many = (forecast_of(table(tmp_path / "seen.csv", round(RATE * n), n), 50) for n in (1000, SENT))
    assert few.believed[0].sd > 1.3 * many.believed[0].sd


def test_an_engine_of_single_requests_tells_the_same(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    seen = table(tmp_path / "seen.csv", 200)
    told = [forecast_of(seen, 300, engine=each) for each in ("aggregate", "compiled")]
    # What is true does not hang on who plays it; what follows has the same law.
    assert told[0].believed == told[1].believed
    for one, other in zip(told[0].ways, told[1].ways, strict=True):
        for name in ("right_ship", "wrong_ship", "rolled_back", "open", "value"):
            mine, theirs = getattr(one, name), getattr(other, name)
            assert abs(mine.value - theirs.value) <= 4 * math.hypot(mine.se, theirs.se) + 1e-9, (one.name, name)


def test_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    versions = [{"alias": arm, **MODEL} for arm in ("champion", "challenger")]
    Path("models.yaml").write_text(yaml.safe_dump({"model": "m", "versions": versions}), encoding="utf-8")
    Path("it.yaml").write_text(yaml.safe_dump(SAID), encoding="utf-8")
    seen = table(Path("seen.csv"), 216)
    assert main(["models", "register", "models.yaml"]) == 0
    capsys.readouterr()
    assert main(["forecast", "it.yaml", "--policy", "it", "--seen", "seen.csv", "--replications", "50", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["believed"][0]["mean"] == forecast_of(seen, 50).believed[0].mean
    seen.write_text(seen.read_text(encoding="utf-8").replace("mirror.errors", "mirror.error"), encoding="utf-8")
    assert main(["forecast", "it.yaml", "--policy", "it", "--seen", "seen.csv"]) == 2
    assert "mirror.error: no such count or metric; did you mean 'mirror.errors'" in capsys.readouterr().err
