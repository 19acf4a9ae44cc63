"""The report page: offline, escaped, repeatable, well-formed, and honest about what is missing."""

from __future__ import annotations

import itertools
import json
import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sim.errors import InputError
from sim.report import html, markdown
from sim.report.numbers import value_and_interval
from sim.stats.intervals import Estimate

MakeRun = Callable[..., Path]
HOSTILE = '<script>alert("x")</script>'
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks that every element is closed, and keeps what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.text.append((self.open[-1], data.strip()))

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]

    def inside(self, tag: str) -> list[str]:
        return [data for name, data in self.text if name == tag]


def text_of(folder: Path) -> str:
    return html.write(folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(typical_run: Path) -> Page:
    return Page(text_of(typical_run))


def test_nothing_is_requested_and_one_script_may_run(typical_run: Path, page: Page) -> None:
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"link", "iframe", "object", "embed", "img", "image", "form", "base", "a"})
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "xlink:href", "src", "srcset", "action"):
            assert (attributes.get(name) or "#").startswith("#")
    text = text_of(typical_run)
    assert not re.search(r"https?://|@import|url\((?!#)", text)
    policies = [each["content"] for each in page.attributes("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    # One script may run: the one whose digest this is.
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert policies == [f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"]


def test_same_bytes_from_the_same_files(typical_run: Path) -> None:
    first = html.write(typical_run).read_bytes()
    assert html.write(typical_run).read_bytes() == first
    assert not list(typical_run.glob(".*"))


def test_the_reader_finds_question_verdict_and_scenario(typical_run: Path) -> None:
    text = text_of(typical_run)
    summary = json.loads((typical_run / "summary.json").read_text())
    for said in (summary["run"]["question"], *summary["memo"], "seed: 7", "1,000 replications", "m-" + "0" * 32):
        assert said in text


def test_what_was_compared_and_what_it_rests_on_is_told_under_the_memo(typical_run: Path) -> None:
    text, marked = text_of(typical_run), markdown.write(typical_run).read_text(encoding="utf-8")
    places = [
        text.index(each) for each in ("Verdict", "What was compared", "What canary does.", "What it rests on", "Comparison")
    ]
    assert places == sorted(places)
    assert "40/s on average &lt;all day&gt;" in text
    assert "- **canary**: What canary does." in marked
    assert "- **Traffic**: 40/s on average \\<all day\\>" in marked


def test_a_run_of_an_earlier_version_has_no_words_and_no_section_for_them(make_run: MakeRun) -> None:
    folder = make_run()
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    for policy in record["policies"]:
        del policy["told"]
    del record["assumptions"]
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert "What was compared" not in text_of(folder)
    assert "What it rests on" not in markdown.write(folder).read_text(encoding="utf-8")


def test_intervals_are_drawn_in_the_cells_of_the_decision_table(page: Page) -> None:
    bars = [each["style"] or "" for each in page.attributes("span") if each.get("class") == "bar"]
    assert len(bars) > 30
    for bar in bars:
        left, wide, mark = (float(each) for each in re.findall(r"--[lwp]:([0-9.e+-]+)%", bar))
        assert -0.1 <= left <= mark + 0.1 <= left + wide + 0.3
        assert left + wide <= 100.5


def test_accessible_structure(page: Page) -> None:
    assert page.attributes("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.attributes("th"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = {attributes["href"] for attributes in page.attributes("use")}
    used |= {attributes["clip-path"][4:-1] for _, attributes in page.elements if attributes.get("clip-path")}  # type: ignore[index]
    assert {reference[1:] for reference in used if reference} <= set(ids)


def test_every_chart_has_a_title_a_description_and_its_data(page: Page) -> None:
    charts = page.attributes("svg")
    assert len(charts) == 2 + 3 + 4 + 4
    assert len(page.attributes("figure")) == len(charts)
    ids = {attributes.get("id") for tag, attributes in page.elements if tag in ("title", "desc")}
    for chart in charts:
        assert chart["role"] == "img"
        assert set((chart["aria-labelledby"] or "").split()) <= ids
    told = page.inside("desc")
    assert len(told) == len(charts)
    assert any("ab 47% (44–50%)" in each for each in told)
    assert page.inside("summary").count("data") == len(charts)


def test_untrusted_text_stays_text(make_run: MakeRun) -> None:
    names = {
        "ab": HOSTILE,
        "canary": "it's \"$x^2$\" & 'y'",
        "careful": "a-name-that-is-much-longer-than-any-label-has-room-for",
    }
    folder = make_run(names=names, arms=("<b>arm", "two"), question=HOSTILE)
    summary = json.loads((folder / "summary.json").read_text())
    summary["verdict"] = HOSTILE
    (folder / "summary.json").write_text(json.dumps(summary))
    text = text_of(folder)
    page = Page(text)
    assert text.count("<script") == len(page.attributes("script")) == 1
    assert "<b>arm" not in text
    shown = [data for _, data in page.text]
    assert HOSTILE in shown
    assert names["canary"] in shown
    assert names["careful"] in shown
    assert "<script" not in markdown.write(folder).read_text(encoding="utf-8").replace("\\<script", "")


@pytest.mark.parametrize(
    "varied",
    [
        {"replications": 1},
        {"horizon_s": 3_600.0, "tick_s": 600.0},
        {"horizon_s": 0.5, "tick_s": 0.01},
        {"horizon_s": 3 * 365 * 86_400.0, "tick_s": 86_400.0},
        {"arms": ("b", "c", "d", "e")},
    ],
)
def test_unusual_runs_are_reported(make_run: MakeRun, varied: dict[str, object]) -> None:
    page = Page(text_of(make_run(**varied)))
    assert not any("nan" in data.lower().split() for _, data in page.text)


def test_one_replication_has_no_interval(make_run: MakeRun) -> None:
    assert "One replication has no interval." in text_of(make_run(replications=1))


def test_what_was_never_reached_or_never_applied_is_said(make_run: MakeRun) -> None:
    folder = make_run()
    summary = json.loads((folder / "summary.json").read_text())
    bandit = next(row for row in summary["points"][0]["policies"] if row["policy"] == "bandit")
    bandit["measures"]["time_to_decision_p50"] = {"estimate": None, "lower": None, "upper": None, "n": 1000}
    for outcome in ("ship", "keep", "inconclusive", "decided"):
        for values in bandit["incidence"][outcome].values():
            values[:] = [0.0] * len(values)
    (folder / "summary.json").write_text(json.dumps(summary))
    page = Page(text_of(folder))
    assert "not reached" in page.inside("span")
    assert "no case" in page.inside("span")
    assert any("Never: hold, bandit." in told for told in page.inside("desc"))


def test_a_run_in_which_nothing_is_ever_decided(make_run: MakeRun) -> None:
    folder = make_run()
    summary = json.loads((folder / "summary.json").read_text())
    for row in summary["points"][0]["policies"]:
        for outcome in ("ship", "keep", "inconclusive", "decided"):
            for values in row["incidence"][outcome].values():
                values[:] = [0.0] * len(values)
        row["measures"] = {}
        row["differences"] = {}
    summary["points"][0]["frontier"] = []
    summary["thresholds"] = []
    (folder / "summary.json").write_text(json.dumps(summary))
    page = Page(text_of(folder))
    assert len(page.attributes("svg")) == 8


def test_an_interrupted_run_names_what_is_missing(make_run: MakeRun) -> None:
    folder = make_run(interrupted=True)
    said = "The run was interrupted. Not finished, and not in this report: canary, careful."
    assert said in text_of(folder)
    assert said in markdown.write(folder).read_text()


def test_what_the_run_warned_of_is_in_both_reports(make_run: MakeRun) -> None:
    folder = make_run()
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    warned = "f.yaml:3:1 data: 228 rows say this <of the effect>"
    (folder / "run.json").write_text(json.dumps({**record, "warnings": [warned]}), encoding="utf-8")
    assert '<p class="warning">f.yaml:3:1 data: 228 rows say this &lt;of the effect&gt;</p>' in text_of(folder)
    assert "Warning: f.yaml:3:1 data: 228 rows say this" in markdown.write(folder).read_text(encoding="utf-8")


def test_only_differences_beyond_chance_are_marked(typical_run: Path) -> None:
    gaps = re.findall(r'aria-label="([^"]*), (better|worse)"', text_of(typical_run))
    assert ("−900", "better") in gaps
    assert ("+1.5k", "worse") in gaps
    # ±2 points of correctness around +1 are within chance, for every policy.
    assert not any(gap == "+1 pp" for gap, _ in gaps)


def test_differences_are_to_the_baseline_that_they_were_taken_to(make_run: MakeRun) -> None:
    folder = make_run()
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps({**summary, "baseline": "hold"}))
    text = text_of(folder)
    assert "All differences to hold, with intervals" in text
    assert "All differences to ab" not in text


def test_every_missing_or_broken_file_is_named(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "run.json").write_text("{")
    (folder / "summary.json").unlink()
    (folder / "timeline.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError) as caught:
        html.write(folder)
    assert [Path(problem.file).name for problem in caught.value.problems] == ["run.json", "summary.json", "timeline.parquet"]
    assert not (folder / "report.html").exists()


def test_an_outcome_that_no_policy_ever_had_takes_no_column(make_run: MakeRun) -> None:
    folder = make_run()
    summary = json.loads((folder / "summary.json").read_text())
    for row in summary["points"][0]["policies"]:
        row["measures"]["inconclusive"] |= {"estimate": 0.0, "lower": 0.0}
    (folder / "summary.json").write_text(json.dumps(summary))
    header = next(line for line in markdown.write(folder).read_text().splitlines() if line.startswith("| policy"))
    assert "inconclusive" not in header
    assert "undecided" in header


def test_markdown_has_a_row_for_each_policy(typical_run: Path) -> None:
    text = markdown.write(typical_run).read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 6
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "**breached**" in text
    assert all(said in text for said in json.loads((typical_run / "summary.json").read_text())["memo"])


def test_a_bound_that_was_not_reached_is_open() -> None:
    assert value_and_interval(Estimate(7_200.0, 5_400.0, None, 20), "s") == ("2 h", "at least 1.5 h")
