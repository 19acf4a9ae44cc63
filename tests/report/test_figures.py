"""Charts: what they tell of the data, and labels that can be read."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.report import figures
from sim.report.source import Source, read
from sim.report.style import CSS
from sim.report.svg import (
    COLOURS,
    DARK_COLOURS,
    INK,
    QUIET,
    canvas,
    colour,
    drawing,
    inline,
    linear_time,
    log_time,
    readable,
    readable_y,
    seen,
    spread,
)
from sim.report.tradeoffs import tradeoffs


@pytest.fixture(scope="module")
def source(typical_run: Path) -> Source:
    return read(typical_run)


@given(st.lists(st.floats(-50, 250), max_size=12), st.floats(0, 40))
def test_labels_keep_their_order_and_their_distance_inside_the_chart(points: list[float], gap: float) -> None:
    placed = spread(points, gap, 0.0, 200.0)
    possible = min(gap, 200.0 / (len(points) - 1)) if len(points) > 1 else gap
    ordered = [placed[index] for index in sorted(range(len(points)), key=points.__getitem__)]
    assert all(-1e-9 <= each <= 200 + 1e-9 for each in placed)
    assert all(after - before >= possible - 1e-9 for before, after in itertools.pairwise(ordered))


def test_a_label_with_room_stays_at_its_curve() -> None:
    assert spread([10.0, 90.0, 50.0], 12.0, 0.0, 100.0) == [10.0, 90.0, 50.0]


@pytest.mark.parametrize(("first", "last"), [(600.0, 1_209_600.0), (1.0, 100.0), (60.0, 3_600.0), (86_400.0, 3.15e8)])
def test_log_time_has_a_few_round_ticks(first: float, last: float) -> None:
    with drawing():
        _, axes = canvas(350, 236, right=90)
        log_time(axes, first, last)
        ticks = axes.get_xticks()
    assert 2 <= len(ticks) <= 7
    assert (np.diff(ticks) > 0).all()
    assert ticks[0] >= first * 0.99
    assert ticks[-1] <= last * 1.01


@pytest.mark.parametrize(
    ("last", "unit"),
    [(0.5, "milliseconds"), (90.0, "seconds"), (3_600.0, "minutes"), (86_400.0, "hours"), (1_209_600.0, "days")],
)
def test_linear_time_is_in_a_unit_that_fits(last: float, unit: str) -> None:
    with drawing():
        _, axes = canvas(350, 236, right=20)
        assert linear_time(axes, last) == unit
        assert 3 <= len(axes.get_xticks()) <= 9


def test_settings_of_matplotlib_are_left_as_they_were() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with drawing():
        assert mpl.rcParams["svg.fonttype"] == "none"
    assert dict(mpl.rcParams) == before


def test_a_chart_may_name_anything() -> None:
    with drawing():
        figure, axes = canvas(350, 236, right=20)
        axes.set_xlabel("$x_1$ <b> & 探索 \U0001f600")
        text = inline(figure, "key", "<title>", '"quoted" & more')
    assert "$x_1$ &lt;b&gt; &amp; 探索 \U0001f600" in text
    assert "&lt;title&gt;" in text
    assert not re.search(r"https?:", text)


def test_incidence_tells_where_each_policy_ends(source: Source) -> None:
    ship = figures.incidence(source)[0]
    assert ship.title == "Shipped a challenger"
    assert "canary 71% (68–74%)" in ship.svg
    assert "Never: hold." in ship.svg
    assert ship.header == ("time", "switch", "hold", "ab", "bandit", "canary", "careful")
    assert ship.rows[-1][0] == "14 d"
    assert ship.rows[-1][4:6] == ("61% (58–64%)", "71% (68–74%)")


def test_challengers_have_what_the_champion_has_not(source: Source) -> None:
    chart = figures.traffic(source)[0]
    line = source.timeline["ab"]
    assert chart.title == "ab"
    assert chart.header == ("time", "live, mean", "5%", "25%", "75%", "95%")
    low, high = 1 - line["weight.champion.q95"][0], 1 - line["weight.champion.q05"][0]
    assert (chart.rows[0][1], chart.rows[0][2], chart.rows[0][5]) == ("50%", f"{low:.0%}", f"{high:.0%}")
    assert figures.traffic(source)[3].header[-1] == "mirrored"


def test_policies_that_decide_on_nothing_have_no_panel(source: Source) -> None:
    deciding = ["ab", "bandit", "canary", "careful"]
    assert [chart.title for chart in figures.traffic(source)] == deciding
    assert [chart.title for chart in figures.regret(source)] == deciding


def test_data_tables_are_short_and_reach_the_end(source: Source) -> None:
    charts = [*figures.incidence(source), *figures.traffic(source), *figures.regret(source), *tradeoffs(source)]
    for chart in charts:
        assert 1 <= len(chart.rows) <= figures.ROWS
        assert {len(row) for row in chart.rows} == {len(chart.header)}
        assert chart.header[0] == "policy" or chart.rows[-1][0] == "14 d"


def test_frontier_says_who_is_on_it(source: Source) -> None:
    value, time = tradeoffs(source)
    assert {row[0] for row in time.rows if row[-1] == "yes"} == {"bandit", "canary", "careful"}
    assert {row[0] for row in value.rows if row[-1] == "yes"} == {"bandit", "ab", "careful", "hold"}
    assert "net value in the worst 5%" in value.svg


def test_every_axis_of_an_amount_or_a_time_says_its_scale(source: Source) -> None:
    for chart in [*figures.traffic(source), *figures.incidence(source)]:
        assert "simulated time, logarithmic" in chart.svg
    for chart in figures.regret(source):
        assert "simulated time, days, linear" in chart.svg
        assert re.search(r"conversion lost, (linear|logarithmic)", chart.svg)


def test_every_row_of_the_data_has_its_place_in_the_chart(source: Source) -> None:
    for chart in [*figures.incidence(source), *figures.traffic(source), *figures.regret(source), *tradeoffs(source)]:
        assert len(chart.places) == len(chart.rows)
        view = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', chart.svg)
        assert view
        assert all(0 <= x <= float(view[1]) and (y is None or 0 <= y <= float(view[2])) for x, y in chart.places)
        along = [x for x, y in chart.places if y is None]
        assert along == sorted(along)


def test_a_time_axis_ends_with_the_horizon() -> None:
    for last in (2.5 * 86_400.0, 7 * 86_400.0, 14 * 86_400.0, 5_000.0):
        with drawing():
            _, axes = canvas(350, 236, right=20)
            linear_time(axes, last)
            assert axes.get_xticks()[-1] == pytest.approx(last)
            log_time(axes, 60.0, last)
            assert axes.get_xticks()[-1] == pytest.approx(last)


@given(st.integers(2, 5000), st.floats(10, 400), st.booleans())
def test_what_is_left_out_of_a_line_cannot_be_seen(count: int, width: float, log: bool) -> None:
    times = np.linspace(1.0, 1000.0, count)
    kept = seen(times, 1.0, 1000.0, log=log, width=width)
    pixels = np.log(times) / np.log(1000.0) * width if log else times / 1000.0 * width
    assert kept[0] == 0
    assert kept[-1] == count - 1
    assert kept.size <= 2 * width + 3
    # Whatever is not kept lies within a pixel of what is.
    assert np.abs(pixels[:, None] - pixels[kept][None]).min(axis=1).max() <= 1.0


def luminance(shade: str) -> float:
    """WCAG 2.2, relative luminance."""
    digits = shade.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    channels = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_can_be_read_on_every_ground() -> None:
    """WCAG 2.2, 1.4.3: contrast of at least 4.5."""
    themes = [dict(re.findall(r"--([a-z0-9]+):(#[0-9a-f]+)", block)) for block in re.findall(r":root\{([^}]*)\}", CSS)]
    assert len(themes) == 3
    for theme in themes:
        for ink in ("ink", "quiet", "accent", "better", "worse"):
            for ground in ("page", "card", "tint"):
                assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground, theme)
        # WCAG 2.2, 1.4.11: graphics need 3.
        for place in range(len(COLOURS)):
            assert contrast(theme[f"c{place}"], theme["page"]) >= 3, (place, theme)
    assert len(COLOURS) == len(DARK_COLOURS)
    assert min(contrast(INK, "#ffffff"), contrast(QUIET, "#ffffff")) >= 4.5


def test_a_chart_takes_the_colours_of_its_page(source: Source) -> None:
    for chart in [*figures.traffic(source), *tradeoffs(source)]:
        assert not re.search(r'style="[^"]*#(?!000000)[0-9a-f]{6}', chart.svg)
        assert "var(--quiet)" in chart.svg


def test_first_seven_policies_have_colours_of_their_own() -> None:
    assert len({colour(place) for place in range(7)}) == 7


@pytest.mark.parametrize(
    ("low_s", "high_s", "texts"),
    [
        (3 * 3600, 26 * 3600, ["6 h", "12 h", "18 h", "24 h"]),
        (43_200, 9 * 86_400, ["2 d", "4 d", "6 d", "8 d"]),
        (0.02, 0.3, ["100 ms", "200 ms"]),
        (-3600, 7200, ["−1 h", "0", "1 h", "2 h"]),
    ],
)
def test_times_have_ticks_at_round_numbers(low_s: float, high_s: float, texts: list[str]) -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    axes.set_xlim(low_s, high_s)
    axes.set_ylim(low_s, high_s)
    readable(axes.xaxis, "s")
    readable_y(axes, "s")
    for axis in (axes.xaxis, axes.yaxis):
        assert [each.get_text() for each in axis.get_ticklabels()] == texts
        assert low_s <= min(axis.get_ticklocs())
        assert max(axis.get_ticklocs()) <= high_s
