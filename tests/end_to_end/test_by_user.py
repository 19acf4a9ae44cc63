"""A test by user in a ramp, from a file: what it estimates is what a regression makes of a trace of the requests."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from sim.cli import main

KINDS = Path(__file__).parents[1] / "kinds"
RAMP = KINDS / "users-in-a-ramp.yaml"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = f"sqlite:///{tmp_path_factory.mktemp('by-user') / 'mlflow.db'}"
    assert main(["models", "register", str(KINDS / "models.yaml"), "--tracking-uri", uri]) == 0
    return uri


def regressed(log: pd.DataFrame) -> tuple[float, float]:
    """Relative effect and standard error: a regression with overlap weights, and errors by user (CR1 by arm)."""
    log = log.sort_values("time_s", kind="stable")
    share = np.where(log["event"] == "tick", log["detail"].str.extract(r"better ([\d.]+)%")[0].astype(float) / 100, np.nan)
    w = pd.Series(share, index=log.index).ffill()
    told = (log["event"] == "feedback") & log["detail"].str.startswith("conversion=")
    assert (w[told] == w[told].where(w[told] == 0.25, 0.5)).all()
    arm = (log["arm"][told] == "better").to_numpy(float)
    weight = np.where(arm == 1, 1 - w[told], w[told])
    user = log["user"][told].to_numpy(int)
    outcome = log["detail"][told].str.partition("=")[2].astype(float).to_numpy()
    fit = sm.WLS(outcome, sm.add_constant(arm), weights=weight).fit(
        cov_type="cluster", cov_kwds={"groups": user, "use_correction": False}
    )
    # By arm: the variances of the means, and their covariance, each corrected for the arm's users.
    change = np.array([[1, 0], [1, 1]])
    count = [np.unique(user[arm == side]).size for side in (0, 1)]
    correction = np.sqrt([each / (each - 1) for each in count])
    joint = change @ fit.cov_params() @ change.T * np.outer(correction, correction)
    base, mean = change @ fit.params
    slopes = np.array([-mean / base**2, 1 / base])
    return mean / base - 1, math.sqrt(slopes @ joint @ slopes)


def test_it_estimates_what_a_regression_makes_of_a_trace(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(RAMP)]) == 0
    warned = capsys.readouterr().err
    # Only what pools is warned of, at its key and with the cure.
    assert "28:87 policies[1].stages[0].evidence.tally: fixed_horizon pools" in warned
    assert "use tally: within_ticks" in warned
    assert "policies[0]" not in warned
    here = ["--tracking-uri", store, "--reports", str(tmp_path)]
    assert main(["run", str(RAMP), "--no-tracking", "--quiet", *here]) == 0
    (file,) = tmp_path.glob("*/trials.parquet")
    trials = pd.read_parquet(file)
    for replication in range(3):
        out = tmp_path / f"{replication}.parquet"
        said = ["trace", str(RAMP), "--policy", "by-user", "--replication", str(replication), "--out", str(out)]
        assert main([*said, *here]) == 0
        (found,) = trials[(trials["policy"] == "by-user") & (trials["replication"] == replication)].to_dict("records")
        assert found["time_to_decision_s"] > 11 * 3600
        log = pd.read_parquet(out)
        # The verdict falls at the end of a tick.
        effect, error = regressed(log[log["time_s"] < found["time_to_decision_s"]])
        assert found["effect_estimate"] == pytest.approx(effect, rel=1e-9)
        assert found["effect_se"] == pytest.approx(error, rel=1e-9)
    # The challenger's later users come at the higher level: a pooled test takes that for its effect.
    means = trials.groupby("policy")["effect_estimate"].mean()
    assert means["pooled"] > means["by-user"] + 0.02


def test_both_event_engines_say_the_same(store: str, tmp_path: Path) -> None:
    seen = []
    for engine in ("simpy", "compiled"):
        file = tmp_path / f"{engine}.yaml"
        text = RAMP.read_text().replace("engine: compiled", f"engine: {engine}").replace("replications: 8", "replications: 2")
        file.write_text(text)
        reports = tmp_path / engine
        assert main(["run", str(file), "--no-tracking", "--quiet", "--tracking-uri", store, "--reports", str(reports)]) == 0
        (trials,) = reports.glob("*/trials.parquet")
        seen.append(pd.read_parquet(trials))
    pd.testing.assert_frame_equal(*seen)
