"""Results for programs and notebooks: the same from memory and from a folder, as tables, as text, as HTML and on axes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import sim
from sim.cli import main
from sim.report.svg import COLOURS, DARK_COLOURS

SCENARIO: dict[str, Any] = {
    "name": "small",
    "question": "Is <b>it</b> & 'so'?<script>alert(1)</script>",
    "horizon": "12h",
    "tick": "30m",
    "replications": 30,
    "traffic": {"rate": "2000/h"},
    "models": [{"arm": arm, "uri": f"models:/ranker@{arm}"} for arm in ("champion", "challenger")],
    "metrics": [{"name": "sale", "role": "primary"}],
    "truth": {"challenger": {"sale": {"relative_effect": {"normal": {"mean": "5%", "sd": "20%"}}}}},
    "policies": [
        {"name": "switch", "kind": "switch"},
        {"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 5000}},
        {"name": "bandit", "kind": "bandit", "allocation": {"kind": "thompson", "floor": "5%"}},
    ],
    "baseline": "ab",
}
SWEPT = {**SCENARIO, "replications": 8, "sweep": {"traffic.rate": ["500/h", "2000/h"], "value.lifetime": ["1d", "3d"]}}
MODELS = [{"outcomes": {"sale": {"bernoulli": 0.05}}, "latency": {"constant": "45ms"}}] * 2


@pytest.fixture(scope="module")
def played() -> sim.Results:
    return sim.rehearse(SCENARIO, MODELS)


@pytest.fixture(scope="module")
def swept() -> sim.Results:
    return sim.rehearse(SWEPT, MODELS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs")
    return sim.run_scenario(SCENARIO, models=MODELS, reports=place, log=False).folder


def test_a_folder_gives_what_memory_gives(
    played: sim.Results, swept: sim.Results, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    for kept, results in ((folder, played), (tmp_path / "swept", swept)):
        if kept != folder:
            sim.run_scenario(SWEPT, models=MODELS, out=kept, reports=tmp_path, log=False)
        loaded = sim.load_run(str(kept))
        assert loaded.folder == kept
        pd.testing.assert_frame_equal(loaded.trials, results.trials, check_exact=True)
        pd.testing.assert_frame_equal(loaded.timeline, results.timeline, check_exact=True)
        pd.testing.assert_frame_equal(loaded.to_pandas(), results.to_pandas(), check_exact=True)
        assert (loaded.memo, loaded.points, loaded.scenario) == (results.memo, results.points, results.scenario)
        assert loaded.scenario == (kept / "scenario.yaml").read_text(encoding="utf-8")
        assert loaded._repr_html_() == results._repr_html_()
        assert repr(loaded) == repr(results)
        capsys.readouterr()
        assert main(["show", str(kept), "--display", "plain"]) == 0
        assert capsys.readouterr().out == f"{loaded}\nreport: {kept / 'report.html'}\n"
    assert before == {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    assert repr(played) == "<Results of small: switch, ab, bandit; 30 replications of 12 h>"
    assert "at each of 4 points of traffic.rate × value.lifetime" in repr(swept)


@pytest.mark.parametrize("name", ["scenario.yaml", "trials.parquet", "timeline.parquet", "summary.json", "run.json"])
def test_a_folder_that_was_cut_short_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    for file in folder.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_bytes((folder / name).read_bytes()[:-40])
    with pytest.raises(sim.InputError, match=rf"{name}.*is corrupt"):
        sim.load_run(tmp_path)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    for given, says in ((tmp_path, "is not a run folder"), (tmp_path / "no", "no such folder"), (7, "must be the path")):
        with pytest.raises(sim.InputError, match=says):
            sim.load_run(given)  # type: ignore[arg-type]


def test_every_point_policy_and_measure_has_a_row_with_its_unit(played: sim.Results, swept: sim.Results) -> None:
    frame = played.to_pandas()
    assert list(frame.columns) == [
        "policy", "kind", "measure", "unit", "estimate", "lower", "upper", "n", "difference", "difference_lower",
        "difference_upper",
    ]  # fmt: skip
    measures = len(played.comparison.measures)
    assert len(frame) == 3 * measures
    assert not frame.duplicated(["policy", "measure"]).any()
    assert frame[frame.policy == "ab"].difference.isna().all()
    own = frame.set_index(["policy", "measure"])
    assert own.loc[("bandit", "regret"), "estimate"] == pytest.approx(played.trials.query("policy == 'bandit'").regret.mean())
    gap = played.trials.pivot(index="replication", columns="policy", values="regret")
    assert own.loc[("bandit", "regret"), "difference"] == pytest.approx((gap["bandit"] - gap["ab"]).mean())
    units = frame.drop_duplicates("measure").set_index("measure").unit
    told = {
        "ship": "share", "time_to_decision": "s", "regret": "sale", "regret_per_1000": "sale per 1,000 requests",
        "net_value": "sale", "exaggeration": "ratio", "harmed_requests": "requests", "errors": "count",
    }  # fmt: skip
    assert {name: units[name] for name in told} == told
    along = swept.to_pandas()
    assert len(along) == 4 * 3 * measures
    assert list(along.columns[:3]) == ["point", "sweep.traffic.rate", "sweep.value.lifetime"]
    # The key of a point is the same in both tables.
    keys = ["point", "sweep.traffic.rate", "sweep.value.lifetime"]
    one, other = (frame[keys].drop_duplicates().reset_index(drop=True) for frame in (along, swept.trials))
    pd.testing.assert_frame_equal(one, other)


def test_amounts_are_in_the_currency_where_they_are_priced() -> None:
    priced = sim.rehearse({**SCENARIO, "replications": 4, "value": {"per": 3, "currency": "EUR"}}, MODELS)
    units = priced.to_pandas().drop_duplicates("measure").set_index("measure").unit
    assert (units["net_value"], units["value_lost_cvar95"], units["regret"]) == ("EUR", "EUR", "sale")
    assert "EUR" in priced.plot.value(ax=Figure().subplots()).get_xlabel()


def test_a_point_is_as_a_run_of_its_own(swept: sim.Results) -> None:
    alone = {key: value for key, value in SWEPT.items() if key != "sweep"}
    alone |= {"traffic": {"rate": "2000/h"}, "value": {"lifetime": "1d"}}
    own = sim.rehearse(alone, MODELS)
    ways = [
        swept.at(2), swept.at(-2), swept.at(rate="2000/h", lifetime="1d"),
        swept.at(**{"traffic.rate": 2000 / 3600, "value.lifetime": 86400}),
    ]  # fmt: skip
    for point in ways:
        pd.testing.assert_frame_equal(point.trials, own.trials, check_exact=True)
        pd.testing.assert_frame_equal(point.timeline, own.timeline, check_exact=True)
        pd.testing.assert_frame_equal(point.to_pandas(), own.to_pandas(), check_exact=True)
        assert point.points == own.points
        assert point.memo == own.memo
        assert point.where == {"traffic.rate": "2000/h", "value.lifetime": "1d"}
        assert "small at traffic.rate=2000/h × value.lifetime=1d: switch" in repr(point)
        assert "small, traffic.rate = 2000/h, value.lifetime = 1d" in Texts(point._repr_html_()).text
    assert own.at(0).points == own.points


@pytest.mark.parametrize(
    ("index", "values", "says"),
    [
        ((), {}, "at: must be given a point's number from 0, or values of the swept keys, such as at("),
        ((4,), {}, "at: must be a whole number from 0 to 3; got 4"),
        ((True,), {}, "at: must be a whole number from 0 to 3; got true"),
        (("2000/h",), {}, "at: must be a whole number from 0 to 3; got '2000/h'"),
        ((), {"rate": "7/h", "lifetime": "1d"}, "at: no point has traffic.rate='7/h', value.lifetime='1d'; the values are"),
        ((), {"rate": "500/h"}, "at: 2 points have traffic.rate='500/h'; the values are traffic.rate: 500/h, 2000/h"),
        ((), {"rat": "500/h"}, "at: no one swept key 'rat'"),
        ((0,), {"rate": "500/h"}, "at: must be given"),
    ],
)
def test_a_point_that_is_none_is_told(swept: sim.Results, index: Any, values: Any, says: str) -> None:
    with pytest.raises(sim.InputError) as error:
        swept.at(*index, **values)
    assert says in str(error.value)


class Texts(HTMLParser):
    """The tags of a page, its text and its looks."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.looks = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "style" and not self.looks:
            self.looks = data
        else:
            self.text += data


def test_a_notebook_shows_the_memo_and_the_table_and_no_text_does_anything(played: sim.Results, swept: sim.Results) -> None:
    page = Texts(played._repr_html_())
    assert not {"script", "img", "a", "link", "iframe"} & set(page.tags)
    assert SCENARIO["question"] in page.text
    for sentence in played.comparison.memo:
        assert sentence in page.text
    for name in ("switch", "ab", "bandit"):
        assert name in page.text
    # The looks are of this part alone, in light and dark, and nothing is fetched.
    looks = page.looks.replace("@media(prefers-color-scheme:dark){", "")
    rules = [rule.partition("{")[0] for rule in looks.split("}") if rule.strip()]
    selectors = [each.strip() for rule in rules for each in re.split(r",(?![^(]*\))", rule)]
    assert [each for each in selectors if ".sim-results" not in each] == []
    assert "url(" not in page.looks
    assert "@import" not in page.looks
    for says in ('[data-jp-theme-light="false"] .sim-results', "prefers-color-scheme:dark", ".vscode-dark .sim-results"):
        assert says in page.looks
    along = Texts(swept._repr_html_())
    assert "Which policy wins where?" in along.text
    assert "500/h × 3d" in along.text


CHARTS = ("incidence", "frontier", "regret", "exposure", "value")


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_drawn_on_the_axes_that_are_passed(played: sim.Results, name: str) -> None:
    ax = Figure().subplots()
    assert getattr(played.plot, name)(ax=ax) is ax
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    legend = ax.get_legend()
    assert legend is not None
    texts = [text.get_text().removesuffix(", mean") for text in legend.get_texts()]
    shown = [policy for policy in ("switch", "ab", "bandit") if policy in texts]
    assert shown == [policy for policy in ("switch", "ab", "bandit") if name != "exposure" or policy != "switch"]
    for text, handle in zip(texts, legend.legend_handles, strict=True):
        if text in shown:
            assert to_hex(handle.get_color()) == COLOURS[["switch", "ab", "bandit"].index(text)]  # type: ignore[union-attr]
    dark = Figure(facecolor="black").subplots()
    dark.set_facecolor("black")
    getattr(played.plot, name)(ax=dark)
    (handle,) = (h for h, text in zip(dark.get_legend().legend_handles, texts, strict=True) if text == "bandit")
    assert to_hex(handle.get_color()) == DARK_COLOURS[2]


def test_charts_show_the_numbers_of_the_tables(played: sim.Results, swept: sim.Results) -> None:
    def drawn(ax: Any, place: int) -> Any:
        (line,) = (each for each in ax.get_lines() if to_hex(each.get_color()) == COLOURS[place] and len(each.get_xdata()) > 1)
        return line

    bandit = played.timeline.query("policy == 'bandit'")
    line = drawn(played.plot.regret(ax=Figure().subplots()), 2)
    np.testing.assert_array_equal(line.get_xdata(), bandit.time_s)
    np.testing.assert_array_equal(line.get_ydata(), bandit.regret_mean)
    line = drawn(played.plot.exposure("bandit", ax=Figure().subplots()), 2)
    np.testing.assert_allclose(line.get_ydata(), bandit["weight.challenger.mean"], atol=1e-12)
    shares = played.to_pandas().set_index(["policy", "measure"]).estimate
    for outcome, measure in (("ship", "ship"), ("keep", "keep")):
        line = drawn(played.plot.incidence(outcome, ax=Figure().subplots()), 2)
        assert line.get_ydata()[-1] == pytest.approx(shares["bandit", measure])
        assert line.get_xdata()[-1] == 12 * 3600
    ax = swept.plot.along("regret", second="3d", ax=Figure().subplots())
    line = drawn(ax, 2)
    np.testing.assert_allclose(line.get_xdata(), [500 / 3600, 2000 / 3600])
    along = swept.to_pandas().query("measure == 'regret' and policy == 'bandit'").set_index("point").estimate
    np.testing.assert_allclose(line.get_ydata(), [along[1], along[3]])
    assert ax.get_ylabel() == "regret, sale, linear"


def test_axes_are_made_where_none_are_passed_and_nothing_is_shown(played: sim.Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("shown"))
    before = plt.get_fignums()
    first, second = played.plot.regret(), played.plot.regret("bandit")
    assert first.figure is not second.figure
    assert len(plt.get_fignums()) == len(before) + 2
    plt.close(first.figure)  # type: ignore[arg-type]
    plt.close(second.figure)  # type: ignore[arg-type]


def test_passed_axes_need_no_pyplot(folder: Path) -> None:
    program = (
        "import sys, sim\nfrom matplotlib.figure import Figure\n"
        f"results = sim.load_run({str(folder)!r})\n"
        f"for name in {CHARTS!r}:\n    getattr(results.plot, name)(ax=Figure().subplots())\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", program], env=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("of_sweep", "name", "arguments", "says"),
    [
        (False, "incidence", {"outcome": "shipp"}, "outcome: no outcome 'shipp'; did you mean 'ship'?"),
        (False, "incidence", {"outcome": 3}, "outcome: no outcome 3; there are decided, ship, keep, inconclusive"),
        (False, "regret", {"policy": "bandid"}, "policy: no policy 'bandid'; did you mean 'bandit'?"),
        (False, "along", {"measure": "regret"}, "plot.along: nothing is swept in these results"),
        (True, "along", {"measure": "regrets", "second": "1d"}, "measure: no measure 'regrets'; did you mean 'regret'"),
        (True, "along", {"measure": ["regret"], "second": "1d"}, "measure: no measure a list"),
        (True, "along", {"measure": "regret"}, "second: must be a value of value.lifetime: 1d, 3d; got nothing"),
        (True, "along", {"measure": "regret", "second": "2d"}, "second: must be a value of value.lifetime: 1d, 3d; got '2d'"),
        *((True, name, {}, f"plot.{name}: is of one point, and these results have 4") for name in CHARTS),
    ],
)
def test_a_chart_that_cannot_be_is_told_and_nothing_is_drawn(
    played: sim.Results, swept: sim.Results, of_sweep: bool, name: str, arguments: dict[str, Any], says: str
) -> None:
    ax = Figure().subplots()
    with pytest.raises(sim.InputError) as error:
        getattr((swept if of_sweep else played).plot, name)(**arguments, ax=ax)
    assert says in str(error.value)
    assert not ax.lines
    assert not ax.collections


def test_an_interrupted_run_has_results_too(folder: Path, tmp_path: Path) -> None:
    """Of a run that was stopped, what was finished is there, and the rest is told."""
    for file in folder.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    trials, timeline = (pd.read_parquet(folder / f"{name}.parquet") for name in ("trials", "timeline"))
    run = json.loads((folder / "run.json").read_text())
    from sim.run.held import digest_of

    for name, frame in (("trials", trials), ("timeline", timeline)):
        frame[frame.policy != "bandit"].to_parquet(tmp_path / f"{name}.parquet", index=False)
        run["files"][f"{name}.parquet"] = digest_of(tmp_path / f"{name}.parquet")
    run |= {"status": "interrupted", "completed": ["switch", "ab"]}
    (tmp_path / "run.json").write_text(json.dumps(run))
    sim.report_run(tmp_path)
    results = sim.load_run(tmp_path)
    assert repr(results).endswith(", interrupted>")
    assert set(results.to_pandas().policy) == {"switch", "ab"}
    texts = [text.get_text() for text in results.plot.incidence(ax=Figure().subplots()).get_legend().get_texts()]
    assert texts == ["switch", "ab"]
