"""The report in a real browser, as wide as a desk and as narrow as a phone."""

from __future__ import annotations

import html as markup
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.report import html

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# The report allows no script of its own, and a headless window is never narrower than 500 px: so a page around it measures.
# Without a charset the browser guesses one, now and then wrongly, and an ellipsis takes three places.
AROUND = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe style="border:0;width:{width}px;height:900px" srcdoc="{report}"></iframe><pre id="found"></pre>
<script>onload = () => {{
const page = document.querySelector("iframe").contentDocument;
const opened = {opened};
if (opened) for (const each of page.querySelectorAll("details")) each.open = true;
const right = [...page.querySelectorAll("body *")].filter(each => !each.closest(".scroll, pre, svg"))
  .map(each => each.getBoundingClientRect().right);
document.getElementById("found").textContent = JSON.stringify({{
  page: page.documentElement.scrollWidth, right: Math.max(...right),
  empty: [...page.querySelectorAll("svg")].filter(each => each.getBoundingClientRect().height < 100).length,
  outside: [...page.querySelectorAll("svg text")].filter(each => {{
    const own = each.getBoundingClientRect(), all = each.closest("svg").getBoundingClientRect();
    return own.left < all.left - 1 || own.right > all.right + 1 || own.bottom > all.bottom + 1;
  }}).map(each => each.textContent),
  charts: page.querySelectorAll("svg").length, scripts: page.scripts.length,
}});
}};</script>"""


@pytest.mark.parametrize(("width", "opened"), [(1280, False), (1280, True), (390, False), (390, True), (320, True)])
def test_the_page_never_scrolls_sideways(
    make_run: Callable[..., Path], tmp_path: Path, chromium: str, width: int, opened: bool
) -> None:
    folder = make_run(names={"careful": "a-policy-with-" + 40 * "x"}, arms=("challenger", "other-" + 50 * "y"))
    report = markup.escape(html.write(folder).read_text(encoding="utf-8"))
    around = tmp_path / "around.html"
    around.write_text(AROUND.format(width=width, report=report, opened=str(opened).lower()), encoding="utf-8")
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run([*command, around.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    match = re.search(r'<pre id="found">(\{.*?\})</pre>', done.stdout)
    assert match, done.stderr
    found = json.loads(markup.unescape(match[1]))
    assert found["page"] <= width
    assert found["right"] <= width
    assert found["empty"] == 0
    assert found["outside"] == []
    assert found["charts"] == 16
    assert found["scripts"] == 0


@pytest.mark.parametrize("width", [1280, 500])
def test_it_paints(typical_run: Path, tmp_path: Path, chromium: str, width: int) -> None:
    picture = tmp_path / "report.png"
    report = html.write(typical_run)
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += [f"--window-size={width},4000", f"--screenshot={picture}", report.as_uri()]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    # A blank page of this size packs into a few kilobytes.
    assert picture.stat().st_size > 50_000
