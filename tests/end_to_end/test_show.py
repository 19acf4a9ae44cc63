"""What a run folder says, printed and written again: the same text, in the formats asked for, or what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sim.cli import main
from tests.end_to_end.conftest import SMALL
from tests.logged_here import logged_here as logged_here

TINY = SMALL.replace("replications: 40", "replications: 4").replace("tick: 30m", "tick: 1h")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder that stays as it is."""
    place = tmp_path_factory.mktemp("played")
    uri = f"sqlite:///{place / 'mlflow.db'}"
    assert main(["models", "register", "checkout", "--tracking-uri", uri]) == 0
    (place / "small.yaml").write_text(TINY)
    stores = ["--no-tracking", "--registry-uri", uri, "--reports", str(place / "reports")]
    assert main(["run", str(place / "small.yaml"), "--quiet", "--out", str(place / "run"), *stores]) == 0
    return place / "run"


@pytest.fixture
def folder(played: Path, tmp_path: Path) -> Path:
    """A copy of the run folder, to change."""
    return Path(shutil.copytree(played, tmp_path / "a run"))


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_a_run_is_shown_as_it_was_and_nothing_changes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    before = content(folder)
    assert main(["report", str(folder), "--display", "plain"]) == 0
    reported = capsys.readouterr().out
    assert main(["show", str(folder), "--display", "plain"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(reported.partition("\nreport: ")[0])
    assert main(["show", str(folder), "--json"]) == 0
    assert capsys.readouterr().out.encode() == before["summary.json"]
    assert content(folder) == before


def test_a_narrow_table_names_what_it_leaves_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["show", str(folder), "--display", "plain", "--width", "60"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if not line.startswith("report: ")) <= 60
    assert "left out for want of" in " ".join(lines)


def test_one_format_is_written_and_the_others_stay(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(folder)
    for name, file in (("md", "report.md"), ("json", "summary.json"), ("html", "report.html")):
        (folder / file).write_text("old")
        assert main(["report", str(folder), "--format", name, "--display", "none"]) == 0
        assert str(folder / file) in capsys.readouterr().out
        # The same trials give the same bytes; what was not asked for is not written.
        assert content(folder) == before
    (folder / "report.md").unlink()
    (folder / "report.html").write_text("mine")
    assert main(["report", str(folder), "--format", "json, md", "--baseline", "hold", "--display", "none"]) == 0
    assert (folder / "report.html").read_text() == "mine"
    assert json.loads((folder / "summary.json").read_text())["baseline"] == "hold"
    assert (folder / "report.md").is_file()


def test_a_format_that_is_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(folder)
    with pytest.raises(SystemExit, match="2"):
        main(["report", str(folder), "--format", "html,jsn"])
    assert "no format 'jsn'; did you mean 'json'?" in capsys.readouterr().err
    assert content(folder) == before


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("summary.json", None, "its trials are whole, and 'sim report"),
        ("summary.json", "{", "its trials are whole, and 'sim report"),
        ("summary.json", "[]", "its trials are whole, and 'sim report"),
        ("run.json", "{", "to play it again: 'sim run"),
        ("run.json", None, "is not a run folder: it has no run.json"),
    ],
)
def test_a_truncated_folder_is_told_with_what_to_do(
    folder: Path, file: str, text: str | None, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / file).unlink()
    if text is not None:
        (folder / file).write_text(text)
    before = content(folder)
    assert main(["show", str(folder)]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "sim: 1 problem in the input" in said
    assert content(folder) == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda point: point["policies"][0]["measures"].pop("ship"), "is corrupt: policy hold has no ship"),
        (lambda point: point["policies"].append({**point["policies"][0], "policy": "no"}), "policy 'no' is none of run.json"),
        (lambda point: point.update(memo=[]), "is corrupt: it has no memo"),
    ],
)
def test_a_summary_that_lacks_what_is_shown(
    folder: Path, change: Callable[[dict[str, Any]], Any], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    change(summary["points"][0])
    (folder / "summary.json").write_text(json.dumps(summary))
    assert main(["show", str(folder)]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "its trials are whole, and 'sim report" in said


@pytest.mark.parametrize("verb", ["show", "report", "report --format json", "compare", "track"])
@pytest.mark.parametrize("change", [lambda text: text[: len(text) // 2], lambda text: text.replace(b"seed: 3", b"seed: 4")])
def test_a_scenario_that_is_not_as_the_run_wrote_it_is_told(
    folder: Path, played: Path, verb: str, change: Callable[[bytes], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    text = (folder / "scenario.yaml").read_bytes()
    (folder / "scenario.yaml").write_bytes(change(text))
    assert (folder / "scenario.yaml").read_bytes() != text
    before = content(folder)
    more = {"compare": [str(played)], "track": ["--tracking-uri", f"sqlite:///{folder.parent}/mlflow.db"]}.get(verb, [])
    capsys.readouterr()
    assert main([*verb.split(), str(folder), *more]) == 2
    said = capsys.readouterr()
    assert f"{folder}/scenario.yaml: is corrupt: it is not as the run wrote it" in said.err
    assert said.out == ""
    # What is said to do: the text is put back, and the folder is of use again.
    if verb in ("show", "compare"):
        again = f"play the scenario that the run was of again: 'sim run FILE --out '{folder}' --again'"
        assert f"put it back, or {again}" in said.err
    left = {name: found for name, found in content(folder).items() if name != "tracking.json"}
    assert left == before
    (folder / "scenario.yaml").write_bytes(text)
    assert main(["show", str(folder), "--display", "none"]) == 0


def test_a_folder_of_a_version_without_a_digest_of_the_scenario_is_shown(folder: Path) -> None:
    run = json.loads((folder / "run.json").read_text())
    assert set(run["files"]) == {"scenario.yaml", "trials.parquet", "timeline.parquet"}
    del run["files"]["scenario.yaml"]
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "scenario.yaml").write_text("name: small\n")
    assert main(["show", str(folder), "--display", "none"]) == 0


def test_what_is_said_to_do_with_a_damaged_run_does_it(folder: Path, played: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "summary.json").unlink()
    (folder / "trials.parquet").write_bytes(b"PAR1")
    assert main(["show", str(folder)]) == 2
    assert f"sim run '{folder}/scenario.yaml' --out '{folder}' --again" in capsys.readouterr().err
    stores = ["--no-tracking", "--registry-uri", f"sqlite:///{played.parent / 'mlflow.db'}", "--quiet"]
    again = ["--reports", str(folder.parent), "--again", "--display", "none", *stores]
    assert main(["run", str(folder / "scenario.yaml"), "--out", str(folder), *again]) == 0
    assert main(["show", str(folder), "--json"]) == 0


def test_what_another_version_said_is_not_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    for version in ("0.0.1", ""):
        (folder / "summary.json").write_text(json.dumps({**summary, "sim_version": version}))
        assert main(["show", str(folder)]) == 2
        said = capsys.readouterr().err
        assert (f"was compared by sim {version}" if version else "by an earlier version") in said
        assert f"'sim report '{folder}'' compares them again" in said
    assert main(["report", str(folder), "--display", "none"]) == 0
    assert main(["show", str(folder), "--display", "none"]) == 0
