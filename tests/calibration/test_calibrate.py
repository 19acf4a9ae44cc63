"""Rules that are calibrated before a run: they meet published figures, and hold what they were found for in fresh trials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from scipy.special import ndtr

import sim
from sim.cli import main
from sim.run.found import CalibrationRecord
from sim.run.record import read_run
from tests.undrawn import undrawn as undrawn

# A test looks five times, each after as much as before, and ends with the last look.
POCOCK = {2: 2.178, 5: 2.413}
"""Pocock's constants at 5%, two-sided (Jennison & Turnbull 2000, Table 2.1)."""


def scenario(*policies: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "name": "calibrated", "seed": 3, "replications": 100, "horizon": "10d", "tick": "1d", "traffic": {"rate": "1000/h"},
        "models": [{"arm": arm, "uri": f"models:/ranker@{arm}"} for arm in ("champion", "challenger")],
        "metrics": [{"name": "sale", "role": "primary"}],
        "truth": {"challenger": {"sale": {"relative_effect": {"normal": {"mean": "0%", "sd": "4%"}}}}},
        "policies": list(policies), **changes,
    }  # fmt: skip


def looks(every: str, alpha: Any) -> dict[str, Any]:
    # The planned sample is what arrives: the last look is the end.
    return {"name": "looks", "kind": "ab", "evidence": {"kind": "peeking", "every": every, "sample": 130_000, "alpha": alpha}}


def for_aa(replications: int) -> dict[str, Any]:
    return {"calibrate": {"aa_declared": "5%"}, "replications": replications}


ONE = {"name": "one", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 60_000, "alpha": for_aa(3000)}}
MODELS = [{"outcomes": {"sale": {"bernoulli": 0.2}}, "latency": {"constant": "45ms"}}] * 2


def found(said: dict[str, Any], **options: Any) -> CalibrationRecord:
    (record,) = sim.rehearse(said, MODELS, **options).comparison.run.calibrated
    return record


def number(text: str | None) -> float:
    assert text is not None
    return float(text.removesuffix("%")) / 100


@pytest.mark.parametrize(("every", "count"), [("5d", 2), ("2d", 5)])
def test_repeated_looks_are_taken_at_the_level_of_pocock(every: str, count: int) -> None:
    record = found(scenario(looks(every, for_aa(3000))))
    nominal = 2 * (1 - float(ndtr(POCOCK[count])))
    # The interval is of 95%; it is half as wide again here, for 99.7%.
    lower, upper, middle = (number(text) for text in (record.lower, record.upper, record.value))
    assert middle - 1.5 * (middle - lower) < nominal < middle + 1.5 * (upper - middle)
    # A share of 5% of 3,000 fresh trials and of the 3,000 that the number was found by: four standard errors of the difference.
    assert abs(record.measured - 0.05) < 4 * (2 * 0.05 * 0.95 / 3000) ** 0.5


def test_one_look_needs_no_correction() -> None:
    record = found(scenario(ONE))
    assert 0.04 < number(record.value) < 0.062
    assert (record.measure, record.asked, record.alike, record.fresh) == ("aa_declared", 0.05, True, 3000)


def test_an_error_in_the_worlds_of_the_scenario_is_held_in_the_run() -> None:
    posterior = {"kind": "posterior", "threshold": {"calibrate": {"wrong_ship": "5%"}, "replications": 2000}}
    said = scenario({"name": "sure", "kind": "ab", "evidence": posterior}, replications=2000, aa=False)
    usual = {**said, "policies": [{"name": "sure", "kind": "ab", "evidence": {"kind": "posterior"}}]}
    before = sim.rehearse(usual, MODELS).comparison.points[0].estimate("sure", "wrong_ship")
    after = sim.rehearse(said, MODELS).comparison
    estimate = after.points[0].estimate("sure", "wrong_ship")
    assert before.upper is not None
    assert before.upper < 0.045
    assert estimate.estimate is not None
    # Half of the trials are a case of it, here and where the threshold was found.
    assert abs(estimate.estimate - 0.05) < 4 * (2 * 0.05 * 0.95 / 1000) ** 0.5
    assert after.run.calibrated[0].alike is False


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A scenario file with a number to calibrate, and the store with its models."""
    folder = tmp_path_factory.mktemp("files")
    store = f"sqlite:///{folder / 'mlflow.db'}"
    versions = [{"alias": alias, **MODELS[0]} for alias in ("champion", "challenger")]
    (folder / "ranker.yaml").write_text(yaml.safe_dump({"model": "ranker", "versions": versions}))
    (folder / "rollout.yaml").write_text(yaml.safe_dump(scenario(looks("2d", for_aa(500)))))
    assert main(["models", "register", str(folder / "ranker.yaml"), "--tracking-uri", store]) == 0
    return folder, store


def test_a_run_says_what_was_found_and_can_be_run_again_with_it(
    files: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, store = files
    options = ["--no-tracking", "--registry-uri", store, "--reports", str(tmp_path)]
    assert main(["run", str(folder / "rollout.yaml"), *options, "--out", str(tmp_path / "first")]) == 0
    said = capsys.readouterr()
    assert "calibrating alpha of looks for aa_declared 5%" in said.err
    (record,) = read_run(tmp_path / "first").calibrated
    assert record.told() in " ".join(said.out.split())
    report = (tmp_path / "first" / "report.md").read_text()
    assert record.value in report
    resolved = yaml.safe_load((tmp_path / "first" / "scenario.yaml").read_text())
    assert resolved["policies"][0]["evidence"]["alpha"] == record.value
    assert not resolved.get("calibrated")
    # The policy is held to what it was calibrated for, not to the alpha that stands there.
    assert read_run(tmp_path / "first").policies[0].promised == 0.05
    # What was played is kept: again with two processes, and without any.
    kept = sorted((tmp_path / ".calibrations").iterdir())
    assert kept
    assert main(["run", str(folder / "rollout.yaml"), *options, "--out", str(tmp_path / "first"), "--quiet"]) == 0
    assert "finished" in capsys.readouterr().err
    assert sorted((tmp_path / ".calibrations").iterdir()) == kept
    other = ["--no-tracking", "--registry-uri", store, "--reports", str(tmp_path / "other"), "--workers", "2", "--quiet"]
    assert main(["run", str(folder / "rollout.yaml"), *other, "--out", str(tmp_path / "second")]) == 0
    assert read_run(tmp_path / "second").calibrated == (record,)
    again = tmp_path / "again.yaml"
    again.write_text((tmp_path / "first" / "scenario.yaml").read_text())
    assert main(["run", str(again), *options, "--out", str(tmp_path / "third"), "--quiet"]) == 0
    tables = [pd.read_parquet(tmp_path / name / "trials.parquet") for name in ("first", "second", "third")]
    pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=True)
    pd.testing.assert_frame_equal(tables[0], tables[2], check_exact=True)
    assert (
        "calibrated" not in json.loads((tmp_path / "third" / "run.json").read_text())
        or not read_run(tmp_path / "third").calibrated
    )


def test_along_a_sweep_each_point_is_calibrated() -> None:
    said = scenario(looks("2d", for_aa(500)), sweep={"policies[0].evidence.every": ["10d", "2d"]}, replications=20)
    run = sim.rehearse(said, MODELS).comparison.run
    once, often = (number(point.run.calibrated[0].value) for point in run.points)
    assert once > 2 * often


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (
            # A guardrail on failures has no say in what the evidence declares.
            {
                "name": "looks", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 60_000, "alpha": "20%"},
                "checks": [
                    {"metric": "error_rate", "max": {"calibrate": {"aa_declared": "5%"}, "between": ["5%", "9%"],
                     "replications": 200}}
                ],
            },
            "cannot be calibrated for aa_declared 5%: it stays above that with every number that was tried",
        ),
        (
            looks("2d", {"calibrate": {"aa_declared": "5%"}, "between": ["0.01%", "0.1%"], "replications": 200}),
            "cannot be calibrated for aa_declared 5%: it stays below that with every number that was tried",
        ),
        (
            looks("2d", {"calibrate": {"missed_regression": "5%"}, "replications": 200}),
            "cannot be calibrated for missed_regression 5%: no trial is a case of it",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_reached_is_told_at_its_place(policy: dict[str, Any], says: str) -> None:
    truth = {"challenger": {"sale": {"relative_effect": "5%"}}}
    with pytest.raises(sim.InputError) as caught:
        sim.rehearse(scenario(policy, truth=truth), MODELS)
    (problem,) = caught.value.problems
    assert problem.path in ("policies[0].evidence.alpha", "policies[0].checks[0].max")
    assert problem.message.startswith(says)
