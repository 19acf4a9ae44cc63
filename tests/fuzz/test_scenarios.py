"""Changed scenarios and models files: no traceback, no hang, no heap of memory, documented exit codes, nothing written.

Seeds are fixed. FUZZ_TRIES sets how many files are tried of each kind (default 60), FUZZ_SEED where the seeds begin.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
import yaml

from sim.cli import main
from sim.errors import EXIT_INPUT, EXIT_OK, InputError
from sim.registry.behaviour import RESERVED, ModelsFile
from sim.run.effort import effort_of
from sim.scenario.loading import read_yaml, validate
from sim.workflow import load_scenario, plan_scenario, rehearse
from tests.end_to_end.conftest import ROOT, SMALL
from tests.fuzz.ends import bounded
from tests.fuzz.mutation import bytes_changed, values_changed, written

TRIES = int(os.environ.get("FUZZ_TRIES", "60"))
FIRST = int(os.environ.get("FUZZ_SEED", "0"))

SCENARIOS = sorted([*(ROOT / "scenarios").glob("*.yaml"), *(ROOT / "tests" / "kinds").glob("*.yaml")])
SCENARIOS = [file for file in SCENARIOS if "models" not in file.name]
LATENCIES = (
    {"constant": "45ms"}, {"lognormal": {"median": "45ms", "p99": "9s"}}, {"exponential": "1s"},
    {"quantiles": {"0%": "1ms", "100%": "2s"}},
)  # fmt: skip
MODELS = sorted([*(ROOT / "scenarios" / "models").glob("*.yaml"), *(ROOT / "tests" / "kinds").glob("*models.yaml")])
TREES = [read_yaml(file).data for file in SCENARIOS]
MODEL_TREES = [read_yaml(file).data for file in MODELS]
OUTCOMES = (
    {"bernoulli": "5%"}, {"lognormal": {"median": 20, "p99": 300}}, {"normal": {"mean": 10, "sd": 2}}, {"poisson": 0.4},
    {"zero_inflated": {"rate": "2%", "amount": {"lognormal": {"median": 20, "p99": 300}}}}, {"gamma": {"mean": 3, "sd": 2}},
)  # fmt: skip


def checked(file: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """The exit code of `sim check`, whose output and folder are looked at."""
    before = sorted(file.parent.iterdir())
    code: int = bounded(lambda: main(["check", str(file), "--quiet"]))
    said = capsys.readouterr().err
    assert code in (EXIT_OK, EXIT_INPUT), said
    assert "Traceback" not in said
    if code == EXIT_INPUT:
        assert said.rstrip().endswith("nothing was changed"), said
        assert len(said) < 500_000
    assert sorted(file.parent.iterdir()) == before
    return code


@pytest.mark.parametrize("seed", range(FIRST, FIRST + TRIES))
def test_bytes_of_a_scenario(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = Random(f"bytes {seed}")
    file = tmp_path / "scenario.yaml"
    file.write_bytes(bytes_changed(random, random.choice(SCENARIOS).read_bytes()))
    checked(file, capsys)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + TRIES))
def test_values_of_a_scenario(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `sim check` accepts is planned as for a run; there only the models may be the wrong ones."""
    random = Random(f"values {seed}")
    file = tmp_path / "scenario.yaml"
    file.write_bytes(written(values_changed(random, random.choice(TREES), TREES)))
    if checked(file, capsys) == EXIT_INPUT:
        return
    bounded(lambda: planned(file, random))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + TRIES))
def test_values_of_a_models_file(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Behaviours that are accepted can be played."""
    random = Random(f"models {seed}")
    tree = values_changed(random, random.choice(MODEL_TREES), MODEL_TREES)
    file = tmp_path / "models.yaml"
    file.write_bytes(written(tree))
    bounded(lambda: played(file))


def planned(file: Path, random: Random) -> None:
    """Plan a scenario as for a run. Models of some kind need not fit it; that is said in words."""
    scenario = load_scenario(file)
    if scenario.calibrated:
        # To find its numbers is to play it, as long as it takes.
        return
    outcomes = {metric.name: random.choice(OUTCOMES) for metric in scenario.metrics if metric.name not in RESERVED}
    behaviour = {"outcomes": outcomes, "latency": random.choice(LATENCIES), "error_rate": "1%", "agreement": "95%"}
    with suppress(InputError):
        effort_of(plan_scenario(file, [behaviour] * len(scenario.arms)))


def played(models: Path) -> None:
    """Play a small scenario with the first two versions of a models file."""
    try:
        read = validate(read_yaml(models), ModelsFile)
    except InputError:
        return
    if len(read.versions) < 2:
        return
    metric = next(iter(read.versions[0].outcomes))
    scenario = yaml.safe_load(SMALL) | {
        "horizon": "2h", "replications": 3, "aa": False, "policies": [{"name": "hold", "kind": "hold"}],
        "metrics": [{"name": metric, "role": "primary"}], "baseline": "hold",
    }  # fmt: skip
    # The versions may differ in their outcomes, or be of no use together.
    with suppress(InputError):
        rehearse(scenario, [each.behaviour for each in read.versions[:2]])
