"""Other values than those of the file, from the command line: the run of a file that says so, or an error at the option."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from sim.cli import main
from sim.run.folder import TABLES
from tests.end_to_end.conftest import SMALL

TINY = SMALL.replace("replications: 40", "replications: 4").replace("tick: 30m", "tick: 1h")
EDITED = (
    TINY.replace("replications: 4", "replications: 6").replace("seed: 3", "seed: 9").replace("rate: 2/s", "rate: 1/s")
    .replace("sample: 20000", "sample: 9000")
    + "truth: {challenger: {conversion: {relative_effect: {normal: {mean: 0%, sd: 3%}}}}}\n"
)  # fmt: skip
SETS = (
    "--set", "replications=6", "--seed", "9", "--set", "traffic.rate=1/s", "--set", "policies[1].evidence.sample=9000",
    "--set", "truth.challenger.conversion.relative_effect={normal: {mean: 0%, sd: 3%}}",
)  # fmt: skip


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = f"sqlite:///{tmp_path_factory.mktemp('checkout') / 'mlflow.db'}"
    assert main(["models", "register", "checkout", "--tracking-uri", uri]) == 0
    return uri


def play(checkout: str, file: Path, *more: str) -> int:
    stores = ("--no-tracking", "--registry-uri", checkout)
    return main(["run", str(file), "--reports", str(file.parent / "reports"), "--quiet", *stores, *more])


def folders(tmp_path: Path) -> list[Path]:
    return [each for each in (tmp_path / "reports").iterdir() if not each.name.startswith(".")]


def test_a_run_with_other_values_is_the_run_of_a_file_that_has_them(checkout: str, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(TINY)
    (tmp_path / "edited.yaml").write_text(EDITED)
    assert play(checkout, tmp_path / "small.yaml", *SETS) == 0
    (folder,) = folders(tmp_path)
    kept = yaml.safe_load((folder / "scenario.yaml").read_text())
    assert (kept["replications"], kept["seed"], kept["policies"][1]["evidence"]["sample"]) == (6, 9, 9000)
    before = {name: (folder / name).read_bytes() for name in TABLES}
    # The digest, and so the folder, are those of the edited file; played anew, it gives the same bits.
    assert play(checkout, tmp_path / "edited.yaml", "--again") == 0
    assert folders(tmp_path) == [folder]
    assert before == {name: (folder / name).read_bytes() for name in TABLES}
    assert play(checkout, tmp_path / "small.yaml") == 0
    assert len(folders(tmp_path)) == 2


def test_an_engine_by_its_short_form(checkout: str, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(TINY)
    less = ("--set", "replications=1", "--set", "horizon=2h", "--set", "policies=[{name: hold, kind: hold}]")
    assert play(checkout, tmp_path / "small.yaml", "--engine", "simpy", "--set", "baseline=hold", *less) == 0
    (folder,) = folders(tmp_path)
    assert json.loads((folder / "run.json").read_text())["engine"] == "simpy"


def test_of_two_values_for_one_key_the_last_holds(checkout: str, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(TINY)
    assert (
        play(checkout, tmp_path / "small.yaml", "--set", "seed=1", "--seed", "5", "--set", "sweep={traffic.rate: [1/s, 2/s]}")
        == 0
    )
    (folder,) = folders(tmp_path)
    run = json.loads((folder / "run.json").read_text())
    assert run["seed"] == 5
    assert [point["values"] for point in run["sweep"]["points"]] == [["1/s"], ["2/s"]]
    assert set(pd.read_parquet(folder / "trials.parquet")["sweep.traffic.rate"]) == {1.0, 2.0}
    assert play(checkout, tmp_path / "small.yaml", "--set", "sweep=null", "--seed", "5") == 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("replicatons=3", "--set replicatons: unknown key 'replicatons'; did you mean 'replications'?"),
        ("trafic.rate=1/s", "--set trafic: unknown key 'trafic'; did you mean 'traffic'?"),
        ("polices[1].x=3", "--set polices[1].x: there is no polices; did you mean 'policies'?"),
        ("policies[1].evidence.mda=1%", "--set policies[1].evidence.mda: unknown key 'mda'; did you mean 'mde'?"),
        ("policies.ab.split=1", "policies is a list of 3, numbered from [0]; ab is policies[1]"),
        ("policies[7].split=1", "--set policies[7].split: there is no policies[7]: policies is a list of 3, numbered from [0]"),
        ("replications=0", "--set replications: must be at least 1; got 0"),
        ("replications=", "--set replications: needs a value; null stands for none"),
        ("replications", "--set: must be PATH=VALUE, such as replications=200; got 'replications'"),
        ("=3", "--set: must be PATH=VALUE, such as replications=200; got '=3'"),
        ("traffic={rate: ", "--set traffic: is not YAML"),
        ("question=\x1b[2J", "--set question: must be printable text"),
        ("sweep={traffic.rate: [1/s, 0/s]}", "--set traffic.rate: must be a rate above zero"),
        ("sweep={trafic.rate: [1/s, 2/s]}", "--set trafic: unknown key 'trafic'; did you mean 'traffic'?"),
        ("metrics[0].daily.peak=20:00", "--set metrics[0].daily.amplitude: is required"),
        ("horizon=1m", "small.yaml:6:7 tick: must not exceed the horizon, got a tick of 1h and a horizon of 1m; with --set "
         "horizon"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_value_is_told_at_its_option(
    given: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.yaml").write_text(TINY)
    for verb in (["check"], ["run", "--no-tracking", "--reports", str(tmp_path / "reports")]):
        assert main([*verb, str(tmp_path / "small.yaml"), "--set", given]) == 2
        assert says in capsys.readouterr().err
    assert not (tmp_path / "reports").exists()


def test_a_swept_key_cannot_be_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small.yaml").write_text(TINY + "sweep: {traffic.rate: [1/s, 2/s]}\n")
    assert main(["check", str(tmp_path / "small.yaml"), "--set", "traffic.rate=5/s"]) == 2
    assert "--set traffic.rate: is swept over, by traffic.rate; --set sweep=null plays one point" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "small.yaml"), "--set", "traffic.rate=5/s", "--set", "sweep=null"]) == 0


def test_a_fault_of_the_file_is_not_blamed_on_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small.yaml").write_text(TINY.replace("rate: 2/s", "rate: 0/s"))
    assert main(["check", str(tmp_path / "small.yaml"), "--set", "replications=9"]) == 2
    said = capsys.readouterr().err
    assert "small.yaml:7:17 traffic.rate: must be a rate above zero" in said
    assert "--set" not in said


def test_the_run_folder_itself_can_be_named(checkout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small.yaml").write_text(TINY)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert play(checkout, tmp_path / "small.yaml", "--out", str(tmp_path / "one" / "run")) == 0
    assert json.loads((tmp_path / "one" / "run" / "run.json").read_text())["name"] == "small"
    assert not (tmp_path / "reports").exists() or not folders(tmp_path)
    before = (tmp_path / "one" / "run" / "run.json").read_bytes()
    capsys.readouterr()
    for out, says in (
        ("full", "holds other files, such as notes.txt, and no run"),
        ("small.yaml", "is a file, not a folder"),
        ("link", "is a link that leads nowhere"),
        ("one/run", "holds a run of another scenario"),
    ):
        assert play(checkout, tmp_path / "small.yaml", "--seed", "4", "--out", str(tmp_path / out)) == 2
        assert says in capsys.readouterr().err
    assert [each.name for each in (tmp_path / "full").iterdir()] == ["notes.txt"]
    assert (tmp_path / "one" / "run" / "run.json").read_bytes() == before


def test_one_replication_is_traced_with_other_values(checkout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small.yaml").write_text(TINY)
    trace = ["trace", str(tmp_path / "small.yaml"), "--policy", "ab", "--replication", "5", "--until", "1m"]
    stores = ["--registry-uri", checkout, "--reports", str(tmp_path / "reports")]
    assert main([*trace, *stores]) == 2
    assert "--replication" in capsys.readouterr().err
    assert main([*trace, *stores, "--set", "replications=6", "--set", "traffic.rate=1/s"]) == 0
    assert "arrive" in capsys.readouterr().out
