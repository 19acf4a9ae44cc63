"""The report in a real browser: on a desk and on a phone, with a keyboard, in the dark, and in print."""

from __future__ import annotations

import html as markup
import json
import re
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sim.compare.comparison import compare
from sim.compare.summary import write_summary
from sim.report import html
from tests.compare.sweeps import write_sweep

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# The report allows no other script than its own, and a headless window is never narrower than 500 px: so a page around it
# measures. Without a charset the browser guesses one, now and then wrongly, and an ellipsis takes three places.
AROUND = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe style="border:0;width:{width}px;height:900px" srcdoc="{report}"></iframe><pre id="found"></pre>
<script>onload = () => {{
const page = document.querySelector("iframe").contentDocument, view = document.querySelector("iframe").contentWindow;
const all = (query, within = page) => [...within.querySelectorAll(query)];
const found = (() => {{ {measure} }})();
document.getElementById("found").textContent = JSON.stringify(found);
}};</script>"""

LAYOUT = """
if ({opened}) for (const each of all("details")) each.open = true;
const boxes = figure => all("svg text", figure).map(each => [each.textContent, each.getBoundingClientRect()]);
const meet = ([, a], [, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1.5
  && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.35 * Math.min(a.height, b.height);
const right = all("body *").filter(each => !each.closest(".scroll, pre, svg")).map(each => each.getBoundingClientRect().right);
return {{
  page: page.documentElement.scrollWidth, right: Math.max(...right),
  empty: all("svg").filter(each => each.getBoundingClientRect().height < 100).length,
  outside: all("svg text").filter(each => {{
    const own = each.getBoundingClientRect(), svg = each.closest("svg").getBoundingClientRect();
    return own.left < svg.left - 1 || own.right > svg.right + 1 || own.bottom > svg.bottom + 1;
  }}).map(each => each.textContent),
  overlaps: all("figure").flatMap(figure => boxes(figure).flatMap((one, at, texts) =>
    texts.slice(at + 1).filter(other => meet(one, other)).map(other => one[0] + " / " + other[0]))),
  charts: all("svg").length, scripts: page.scripts.length,
  hinted: all("div.scroll").filter(each => each.offsetParent && each.scrollWidth > each.clientWidth + 1)
    .every(each => each.nextElementSibling.matches(".hint") && each.nextElementSibling.offsetParent),
  sticky: all("tbody th").every(each => view.getComputedStyle(each).position === "sticky"),
}};
"""
KEYS = """
const told = [];
const press = (on, key) => on.dispatchEvent(new view.KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
for (const figure of all("figure")) {
  const svg = figure.querySelector("svg"), tip = figure.querySelector(".tip");
  const before = tip.hidden;
  svg.focus();
  press(svg, "Home");
  const first = tip.textContent;
  press(svg, "ArrowRight");
  const second = tip.textContent;
  press(svg, "End");
  press(svg, "ArrowRight");
  const last = tip.textContent;
  const box = svg.getBoundingClientRect();
  svg.dispatchEvent(new view.PointerEvent("pointermove", {clientX: box.right - 2, clientY: box.top + 2, bubbles: true}));
  const hovered = tip.textContent;
  press(svg, "Escape");
  const rows = [...figure.querySelectorAll("tbody tr")].map(row => row.cells[0].textContent);
  told.push({before, first, second, last, hovered, hidden: tip.hidden, rows, reachable: svg.tabIndex === 0,
    role: tip.getAttribute("role"), active: page.activeElement === svg});
}
return {told, tables: all("div.scroll, pre").every(each => each.tabIndex === 0)};
"""


SORTED = """
const table = page.querySelector("div.compared table"), head = table.tHead.rows[0];
const names = () => [...table.tBodies[0].rows].map(row => row.cells[0].firstChild.textContent);
const heading = text => [...head.cells].find(each => each.textContent === text);
const told = [["", "", names()]];
const press = text => {
  heading(text).querySelector("button").click();
  const by = all("[aria-sort]", head).map(each => each.textContent + " " + each.getAttribute("aria-sort"));
  told.push([text, by.join(), names()]);
};
for (const text of ["regret", "regret", "regret", "mirrored requests", "policy", "mean time to decision"]) {
  if (!heading(text)) all(".choose label").find(each => each.textContent === text).querySelector("input").click();
  press(text);
}
const labels = all(".choose label"), boxes = all(".choose input");
const shown = () => [...head.cells].slice(1).filter(each => each.offsetParent).map(each => each.textContent);
const chosen = () => labels.filter((each, at) => boxes[at].checked).map(each => each.textContent);
const before = [shown(), chosen()];
boxes[labels.findIndex(each => each.textContent === "regret")].click();
const column = heading("mirrored requests").cellIndex;
return {told, before, after: [shown(), chosen()], all: labels.map(each => each.textContent),
  cells: [...table.tBodies[0].rows].map(row => [row.cells[0].firstChild.textContent, row.cells[column].textContent]),
  every: all("div.compared details:last-of-type tbody tr").map(row => row.cells[0].textContent),
  reachable: all("th button, .choose summary, .choose input").every(each => each.tabIndex === 0),
  even: new Set([...table.rows].map(row => row.cells.length)).size};
"""


def run(chromium: str, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--enable-logging=stderr", "--log-level=0", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def measured(chromium: str, tmp_path: Path, report: Path, width: int, measure: str) -> Any:
    """What a script finds in the report, shown in a frame of some width. The report must have nothing to say in the console."""
    around = tmp_path / "around.html"
    text = markup.escape(report.read_text(encoding="utf-8"))
    around.write_text(AROUND.format(width=width, report=text, measure=measure), encoding="utf-8")
    done = run(chromium, tmp_path, "--dump-dom", around.as_uri())
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, flags=re.DOTALL)
    assert match, done.stderr
    assert match[1], done.stderr
    assert "CONSOLE" not in done.stderr, done.stderr
    return json.loads(markup.unescape(match[1]))


@pytest.mark.parametrize(
    ("width", "opened"), [(1280, False), (1280, True), (768, False), (390, False), (390, True), (320, True)]
)
def test_the_page_never_scrolls_sideways_and_no_label_hides_another(
    make_run: Callable[..., Path], tmp_path: Path, chromium: str, width: int, opened: bool
) -> None:
    folder = make_run(names={"careful": "a-policy-with-" + 40 * "x"}, arms=("challenger", "other-" + 50 * "y"))
    found = measured(chromium, tmp_path, html.write(folder), width, LAYOUT.format(opened=str(opened).lower()))
    assert found["page"] <= width
    assert found["right"] <= width
    assert found["empty"] == 0
    assert found["outside"] == []
    assert found["overlaps"] == []
    assert found["charts"] == 2 + 3 + 4 + 4
    assert found["scripts"] == 1
    assert found["hinted"]
    assert found["sticky"]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_of_a_sweep_fits_too(tmp_path: Path, chromium: str, width: int) -> None:
    folder = write_sweep(tmp_path / "sweep")
    write_summary(compare(folder), folder)
    found = measured(chromium, tmp_path, html.write(folder), width, LAYOUT.format(opened="false"))
    assert found["page"] <= width
    assert found["outside"] == []
    assert found["overlaps"] == []
    assert found["charts"] > 5


def test_numbers_come_with_the_focus_the_arrow_keys_and_the_pointer(typical_run: Path, tmp_path: Path, chromium: str) -> None:
    found = measured(chromium, tmp_path, html.write(typical_run), 1280, KEYS)
    assert found["tables"]
    assert len(found["told"]) == 13
    for told in found["told"]:
        rows = told["rows"]
        assert told["before"]
        assert told["hidden"]
        assert told["reachable"]
        assert told["active"]
        assert told["role"] == "status"
        assert told["first"].startswith(rows[0])
        assert told["second"].startswith(rows[1])
        assert told["last"].startswith(rows[-1])
        assert any(told["hovered"].startswith(row) for row in rows)
    incidence = found["told"][2]
    assert "ab: 47% (44–50%)" in incidence["last"]


def test_rows_are_sorted_by_any_measure_and_measures_are_chosen(typical_run: Path, tmp_path: Path, chromium: str) -> None:
    report = html.write(typical_run)
    found = measured(chromium, tmp_path, report, 1280, SORTED)
    points = json.loads((typical_run / "summary.json").read_text(encoding="utf-8"))["points"]
    policies = {each["policy"]: each["measures"] for each in points[0]["policies"]}

    def by(measure: str, descending: bool = False) -> list[str]:
        known = [name for name in policies if policies[name].get(measure, {}).get("estimate") is not None]
        last = [name for name in policies if name not in known]
        return sorted(known, key=lambda name: policies[name][measure]["estimate"] * (-1 if descending else 1)) + last

    assert found["told"] == [
        ["", "", list(policies)],
        ["regret", "regret ascending", by("regret")],
        ["regret", "regret descending", by("regret", descending=True)],
        ["regret", "", list(policies)],
        ["mirrored requests", "mirrored requests ascending", by("mirrored_requests")],
        ["policy", "policy ascending", sorted(policies)],
        ["mean time to decision", "mean time to decision ascending", by("time_to_decision")],
    ]
    assert [*policies] not in (by("regret"), by("mirrored_requests"))
    shown, chosen = found["before"]
    assert sorted(shown) == sorted(chosen)
    assert "mirrored requests" in shown
    assert found["after"] == [[each for each in shown if each != "regret"], [each for each in chosen if each != "regret"]]
    assert found["all"] == found["every"]
    assert {name: text != "–" for name, text in found["cells"]} == {
        name: "mirrored_requests" in measures for name, measures in policies.items()
    }
    assert found["reachable"]
    assert found["even"] == 1
    # Without its script, the page has the same tables and no control that does nothing.
    plain = report.read_text(encoding="utf-8").partition("<script>")[0]
    assert "Choose measures" not in plain
    assert "<button" not in plain


def test_a_measure_without_a_number_is_last_either_way(make_run: Callable[..., Path], tmp_path: Path, chromium: str) -> None:
    folder = make_run()
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    for point in summary["points"]:
        point["policies"][2]["measures"]["regret"] = {"estimate": None, "lower": None, "upper": None, "n": 0}
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    told = measured(chromium, tmp_path, html.write(folder), 1280, SORTED)["told"]
    assert [rows[-1] for _, order, rows in told if order.startswith("regret")] == ["ab", "ab"]


@pytest.mark.parametrize(("width", "scheme"), [(1280, 1), (1280, 0), (500, 1)])
def test_it_paints(typical_run: Path, tmp_path: Path, chromium: str, width: int, scheme: int) -> None:
    picture = tmp_path / "report.png"
    report = html.write(typical_run)
    done = run(
        chromium, tmp_path, f"--blink-settings=preferredColorScheme={scheme}", f"--window-size={width},4000",
        f"--screenshot={picture}", report.as_uri(),
    )  # fmt: skip
    # A blank page of this size packs into a few kilobytes.
    assert picture.stat().st_size > 50_000
    assert "CONSOLE" not in done.stderr, done.stderr
    shade = corner(picture)
    assert (max(shade) < 60) if scheme == 0 else (min(shade) > 240)


def corner(picture: Path) -> tuple[int, int, int]:
    """The colour of the first pixel of a PNG of 8 bits a channel: its first row is never predicted from a row above."""
    data = picture.read_bytes()
    packed, at = b"", 8
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        packed += data[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    row = zlib.decompressobj().decompress(packed, 8)
    return row[1], row[2], row[3]


def test_in_print_no_table_is_cut(make_run: Callable[..., Path], tmp_path: Path, chromium: str) -> None:
    """With the rules of print on a screen as wide as A4 paper across, less its margins: 273 mm are 1,031 px."""
    page = html.write(make_run(names={"careful": "a-policy-with-" + 40 * "x"})).read_text(encoding="utf-8")
    on_screen = tmp_path / "print.html"
    on_screen.write_text(page.replace("@media print", "@media all"), encoding="utf-8")
    tables = 'return all("table").filter(each => each.offsetParent).map(each => each.getBoundingClientRect().width);'
    widths = measured(chromium, tmp_path, on_screen, 1031, tables)
    assert len(widths) >= 3
    assert max(widths) <= 1031


def test_in_print_the_scenario_is_open(make_run: Callable[..., Path], tmp_path: Path, chromium: str) -> None:
    folder, paper = make_run(), tmp_path / "report.pdf"
    pages = []
    for text in ("seed: 7\n", "seed: 7\n" + "".join(f"line: {number}\n" for number in range(400))):
        (folder / "scenario.yaml").write_text(text, encoding="utf-8")
        run(chromium, tmp_path, f"--print-to-pdf={paper}", "--no-pdf-header-footer", html.write(folder).as_uri())
        pages.append(len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())))
    # A longer text takes more paper; charts of a section begin a page of their own.
    assert pages[1] >= pages[0] + 4
    assert 5 <= pages[0] <= 14
