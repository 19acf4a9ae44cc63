"""Several runs on one page, from the command line: paired where they are of one world, and told apart key by key where not."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sim.cli import main
from sim.compare.several import compare_runs
from tests.end_to_end.conftest import SMALL

TINY = SMALL.replace("replications: 40", "replications: 8").replace("tick: 30m", "tick: 1h")
OTHERS = (
    "policies=[{name: hold, kind: hold}, {name: ab, kind: ab, evidence: {kind: fixed_horizon, sample: 60000}}, "
    "{name: bandit, kind: bandit}]"
)
RUNS = {
    "here": (),
    "slower": ("--set", "traffic.rate=1/s"),
    "others": ("--set", OTHERS, "--set", "replications=12"),
    "reseeded": ("--seed", "9"),
    "swept": ("--set", "sweep={traffic.rate: [1/s, 2/s]}"),
    "amounts": ("--set", "value={per: 3, currency: EUR}"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs of RUNS, which stay as they are."""
    place = tmp_path_factory.mktemp("runs")
    uri = f"sqlite:///{place / 'mlflow.db'}"
    assert main(["models", "register", "checkout", "--tracking-uri", uri]) == 0
    (place / "small.yaml").write_text(TINY)
    stores = ["--no-tracking", "--registry-uri", uri, "--reports", str(place / "reports"), "--quiet", "--display", "none"]
    for name, more in RUNS.items():
        assert main(["run", str(place / "small.yaml"), "--out", str(place / name), *stores, *more]) == 0
    return place


def shown(capsys: pytest.CaptureFixture[str], *folders: Path, more: tuple[str, ...] = ()) -> str:
    capsys.readouterr()
    assert main(["compare", *map(str, folders), "--display", "plain", "--width", "160", *more]) == 0
    return capsys.readouterr().out


def rows(text: str) -> list[tuple[str, str]]:
    """(policy, run) of every row of the table."""
    table = text.partition("-----\n")[2].partition("\n\n")[0].splitlines()
    found, policy = [], ""
    for line in table:
        words = line.split()
        policy = words[0] if not line.startswith(" ") else policy
        found.append((policy, words[1] if not line.startswith(" ") else words[0]))
    return found


def test_other_policies_in_the_same_world_are_paired(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, runs / "here", runs / "others")
    said = " ".join(text.split())
    assert said.startswith("Take ")
    assert "paired by replication, 8 of them; checked: hold has the same trials in them, bit by bit." in said
    assert rows(text) == [
        ("hold", "here"), ("hold", "others"), ("ab", "here"), ("ab", "others"), ("canary", "here"), ("bandit", "others"),
    ]  # fmt: skip
    assert "differs in policies.ab.evidence.sample: 20000 | 60000" in text
    assert "differs in policies.canary: canary | –" in text
    assert "Warning" not in text
    # The difference is that of the tables: over the replications that both have.
    (world,) = compare_runs([runs / "here", runs / "others"]).worlds
    first, second = (
        pd.read_parquet(runs / name / "trials.parquet").set_index(["policy", "replication"])
        for name in RUNS
        if name in ("here", "others")
    )
    gap = (second.loc["bandit"]["regret"] - first.loc["ab"]["regret"]).dropna()
    found = world.difference("bandit", "regret")
    assert world.baseline == "ab (here)"
    assert found is not None
    assert found.n == len(gap) == 8
    assert found.estimate == pytest.approx(gap.mean())


def test_the_same_policies_in_other_worlds_are_told_apart_key_by_key(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, runs / "here", runs / "slower")
    said = " ".join(text.split())
    assert "Warning: not all runs are of one world; those that are not are not paired, and differ in traffic.rate." in said
    assert "differs in traffic.rate: 2/s | 1/s" in text
    assert not compare_runs([runs / "here", runs / "slower"]).worlds
    text = shown(capsys, runs / "here", runs / "reseeded")
    assert "not paired, and differ in seed." in " ".join(text.split())


def test_a_point_of_a_sweep_is_of_the_world_of_a_run_without(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, runs / "swept", runs / "slower", runs / "here")
    said = " ".join(text.split())
    assert "swept at 1/s and slower are of one world" in said
    assert "swept at 2/s and here are of one world" in said
    assert said.count("checked: hold, ab and canary have the same trials in them, bit by bit") == 2


def test_amounts_in_other_units_are_not_compared(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, runs / "here", runs / "amounts")
    assert "Amounts are not compared: they are in EUR, conversion." in " ".join(text.split())
    assert "regret" not in text.partition("-----\n")[0].splitlines()[-1]
    several = compare_runs([runs / "here", runs / "amounts"])
    assert "ship" in several.measures
    assert not {"net_value", "regret"} & set(several.measures)


def copied(runs: Path, name: str, place: Path) -> Path:
    """A copy of a run that counts as another: it started at another time."""
    shutil.copytree(runs / name, place)
    run = json.loads((place / "run.json").read_text())
    run["started_at"] = "2020-01-01T00:00:00+00:00"
    (place / "run.json").write_text(json.dumps(run))
    return place


def vouched_for(folder: Path, name: str) -> None:
    """Have the run say that a file that was changed is as it was written."""
    run = json.loads((folder / "run.json").read_text())
    run["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "run.json").write_text(json.dumps(run))


def test_trials_that_do_not_agree_are_not_paired(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = copied(runs, "here", tmp_path / "other")
    assert "checked: hold, ab and canary have the same trials" in " ".join(shown(capsys, runs / "here", other).split())
    trials = pd.read_parquet(other / "trials.parquet")
    trials.loc[trials.policy == "hold", "regret"] *= 1 + 1e-15
    trials.to_parquet(other / "trials.parquet", index=False)
    vouched_for(other, "trials.parquet")
    said = " ".join(shown(capsys, runs / "here", other).split())
    assert (
        "here, other agree in their scenarios and are not paired: hold has the same settings in them, and other trials." in said
    )
    assert not compare_runs([runs / "here", other]).worlds


def test_runs_of_other_sources_of_the_program_are_not_paired(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = copied(runs, "here", tmp_path / "other")
    run = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**run, "sources": "f" * 64}))
    assert "not paired, and differ in sim.sources." in " ".join(shown(capsys, runs / "here", other).split())


def test_columns_that_have_no_room_are_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = shown(capsys, runs / "here", runs / "slower", more=("--width", "220"))
    narrow = shown(capsys, runs / "here", runs / "slower", more=("--width", "60"))
    assert "left out for want of width" not in wide
    named = " ".join(narrow.split()).partition("left out for want of width: ")[2].partition(".")[0]
    headings = [line for line in wide.splitlines() if line.startswith("policy")]
    assert {"regret", "correct"} <= set(named.split(", "))
    assert "regret" in headings[0]
    assert max(len(line) for line in narrow.splitlines() if not line.startswith("differs in ")) <= 60
    assert "95% Monte-Carlo intervals" in " ".join(narrow.split())
    # So they are where one run with a sweep is shown.
    assert main(["show", str(runs / "swept"), "--display", "plain", "--width", "50"]) == 0
    assert "left out for want of width: regret" in " ".join(capsys.readouterr().out.split())


def changed_summary(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Another summary in a run folder: `change` is called with each of its policies."""
    summary = json.loads((folder / "summary.json").read_text())
    for policy in summary["points"][0]["policies"]:
        change(policy)
    (folder / "summary.json").write_text(json.dumps(summary))


def test_a_measure_that_a_run_lacks_is_named(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = copied(runs, "slower", tmp_path / "other")
    nothing = {"estimate": None, "lower": None, "upper": None, "n": 0}
    changed_summary(other, lambda policy: policy["measures"].update(net_value=nothing, correct=nothing))
    said = " ".join(shown(capsys, runs / "here", other, more=("--out", str(tmp_path / "page.md"))).split())
    (named,) = re.findall(r"Not compared: ([^;]*); other has no estimate of them\.", said)
    assert set(re.split(", | and ", named)) == {"correct", "net value"}
    assert not {"correct", "net_value"} & set(compare_runs([runs / "here", other]).measures)
    assert "other has no estimate of them." in (tmp_path / "page.md").read_text()
    # Nothing is said where nothing is left out.
    assert "Not compared" not in shown(capsys, runs / "here", runs / "slower")


def test_the_page_counts_runs_and_its_headline_is_of_all(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    shown(capsys, runs / "swept", runs / "slower", more=("--out", str(page)))
    text = page.read_text(encoding="utf-8")
    assert "<h1>2 runs compared, at 3 points in all</h1>" in text
    shown(capsys, runs / "here", runs / "slower", runs / "reseeded", more=("--out", str(page)))
    text = page.read_text(encoding="utf-8")
    assert "<h1>3 runs compared</h1>" in text
    (headline,) = re.findall(r'<section class="verdict"><h2>Verdict</h2><p>(.*?)</p>', text)
    chosen = {
        side.label: side.point.decision.chosen
        for side in compare_runs([runs / n for n in ("here", "slower", "reseeded")]).alone
    }
    taken = set(chosen.values())
    if len(taken) == 1:
        assert headline in (f"Take {taken.pop()} in each of the 3 worlds.", "None is fit to be taken in any of the 3 worlds.")
    else:
        assert headline.startswith("Which policy to take depends on the world: ")
        assert all(label in headline for label in chosen)


def test_choices_that_differ_are_the_headline(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = {}
    for name, chosen in (("one", "ab"), ("two", "canary"), ("three", None)):
        place[name] = copied(runs, "slower", tmp_path / name)
        run = json.loads((place[name] / "run.json").read_text())
        (place[name] / "run.json").write_text(
            json.dumps({**run, "seed": len(place), "started_at": f"202{len(place)}-01-01T00:00:00Z"})
        )
        summary = json.loads((place[name] / "summary.json").read_text())
        summary["points"][0]["decision"]["chosen"] = chosen
        (place[name] / "summary.json").write_text(json.dumps(summary))
        scenario = (place[name] / "scenario.yaml").read_text()
        (place[name] / "scenario.yaml").write_text(re.sub("(?m)^seed: .*$", f"seed: {len(place)}", scenario))
        vouched_for(place[name], "scenario.yaml")
    said = " ".join(shown(capsys, *place.values()).split())
    assert said.startswith("Which policy to take depends on the world: ab in one; canary in two; none in three. one: ")


def test_a_digest_is_short_and_a_long_value_ends(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = copied(runs, "slower", tmp_path / "other")
    run = json.loads((other / "run.json").read_text())
    run["versions"][0]["digest"] = "a" * 64
    (other / "run.json").write_text(json.dumps(run))
    (other / "scenario.yaml").write_text((other / "scenario.yaml").read_text() + f"data: {{file: x, note: {'y' * 5000}}}\n")
    vouched_for(other, "scenario.yaml")
    page = tmp_path / "page.html"
    text = shown(capsys, runs / "here", other, more=("--out", str(page)))
    assert "aaaaaaaaaaaa…" in text
    for told in (text, page.read_text(encoding="utf-8")):
        assert "a" * 13 not in told
        assert "y" * 300 not in told
    # A run's name wraps in its cell.
    assert '<td class="name">other</td>' in page.read_text(encoding="utf-8")


class Texts(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_shows_names_as_text(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = copied(runs, "others", tmp_path / 'x"><script>alert(1)<|script> \u202e[a](b) 🎲 & `c`')
    for name in ("page.html", "page.md"):
        text = shown(capsys, runs / "here", odd, more=("--out", str(tmp_path / name)))
        assert f"report: {tmp_path / name}" in text
        assert "\u202e" not in text
    page = Texts((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert not page.tags & {"script", "img", "a", "link", "iframe"}
    assert 'x"><script>alert(1)<|script> \\u202e[a](b) 🎲 & `c`' in page.text
    assert "checked: hold has the same trials in them" in page.text
    marked = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "<script" not in re.sub(r"\\<", "", marked)
    assert r"\[a\](b)" in marked
    # No name breaks a cell: every row of a table has as many as its heading.
    for part in marked.split("\n\n"):
        if part.startswith("|"):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in part.splitlines()}) == 1


@pytest.mark.parametrize(
    ("folders", "says"),
    [
        (["here"], "sim compare: must have 2 to 50 runs, got 1"),
        (["here", "here"], "is given twice"),
        (["here", "../{}/here"], "is given twice"),
        (["here", "copy"], "is the same run as"),
        (["here", "nowhere"], "nowhere: no such folder"),
        (["here", "small.yaml"], "small.yaml: is a file, not a run folder"),
        (["here", "reports"], "reports: is not a run folder"),
        (["here", "cut"], "its trials are whole, and 'sim report"),
        (["here", "older"], "was compared by sim 0.0.1"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    runs: Path, tmp_path: Path, folders: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Path(shutil.copytree(runs, tmp_path / "runs"))
    shutil.copytree(place / "here", place / "copy")
    (place / "reports").mkdir(exist_ok=True)
    (copied(place, "slower", place / "cut") / "summary.json").unlink()
    summary = copied(place, "slower", place / "older") / "summary.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text()), "sim_version": "0.0.1"}))
    given = [str(place / name.format(place.name)) for name in folders]
    assert main(["compare", *given, "--out", str(place / "page.html")]) == 2
    assert says in capsys.readouterr().err
    assert not (place / "page.html").exists()


def test_runs_that_share_no_measure(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = copied(runs, "slower", tmp_path / "other")
    summary = json.loads((other / "summary.json").read_text())
    for policy in summary["points"][0]["policies"]:
        policy["measures"] = {name: {"estimate": None, "lower": None, "upper": None, "n": 0} for name in policy["measures"]}
    (other / "summary.json").write_text(json.dumps(summary))
    assert main(["compare", str(runs / "here"), str(other)]) == 2
    assert "must share a measure of which each has an estimate" in capsys.readouterr().err


@pytest.mark.parametrize("sweep", ["5", "null", "{traffic.rate: null}", "{tick: [1h]}"])
def test_a_scenario_that_is_not_that_of_the_run(
    runs: Path, tmp_path: Path, sweep: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = copied(runs, "swept", tmp_path / "other")
    text = (other / "scenario.yaml").read_text()
    (other / "scenario.yaml").write_text(text.partition("sweep:")[0] + f"sweep: {sweep}\n")
    vouched_for(other, "scenario.yaml")
    assert main(["compare", str(runs / "here"), str(other)]) == 2
    assert "scenario.yaml sweep: must have the sweep of run.json" in capsys.readouterr().err


def test_a_page_of_another_format_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "a", "b", "--out", str(tmp_path / "page.pdf")]) == 2
    assert "--out: must end in .html or .md" in capsys.readouterr().err
