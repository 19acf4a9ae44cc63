"""An assessment for people: what follows, and its tables, in the terminal and as a page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from sim.assess.around import Beside
from sim.assess.assessing import Assessment, At
from sim.assess.figures import Row
from sim.compare.wording import number, value_and_interval, with_interval
from sim.report.sections import Section, html_page, markdown_page
from sim.stats.intervals import Estimate
from sim.units import format_share

_HEADER = ("a version", "rolled back", "in doubt", "shipped", "half gone by", "95% gone by", "bad answers", "if shipped, a day")
_BESIDE = ("setting", "false abort", "worse is caught", "95% gone by", "bad answers", "a good one takes")
_NEVER = "never"


def sentences(found: Assessment) -> tuple[str, ...]:
    """What follows, the answer first."""
    said = list(_about(found, found.traffic[0]))
    for at in found.traffic[1:]:
        said += [f"{at.name[:1].upper()}{at.name[1:]} ({at.rate}): {text[:1].lower()}{text[1:]}" for text in _about(found, at)]
    said += _mended(found)
    said += [
        f"{'Kept' if each.met else 'Not shown to be kept'}: {each.rule}; found {with_interval(each.found, each.unit)}."
        for each in found.judged
    ]
    said += [f"{text[:1].upper()}{text[1:]}." for text in found.notes]
    return tuple(said)


def _about(found: Assessment, at: At) -> Iterator[str]:
    same = at.rows[0]
    yield (
        f"A release that is no worse is rolled back in {with_interval(same.back, 'share')}"
        f"{_also_paused(same)}: {with_interval(at.alarms, 'count')} false alarms a year at "
        f"{number(found.question.releases, 'count')} releases."
    )
    caught = next((row for row in at.rows[1:] if (row.back.lower or 0.0) >= 0.95), None)
    if caught is None:
        yield "Of no version that was tried is it shown that 95% are caught."
    else:
        by = _time(caught.most)
        gone = "" if by == _NEVER else f", within {by}"
        yield f"The least that is surely caught is {caught.worse.label}: {_share(caught.back)} are rolled back{gone}."


def _mended(found: Assessment) -> Iterator[str]:
    mend, need = found.mend, found.needed
    if mend is not None:
        wishes = "; ".join(f"{wish.text}: {with_interval(wish.found, 'share')}" for wish in mend.wishes)
        if mend.change is None:
            yield f"No change of one or two settings, of {mend.tried} tried, meets what is wanted; as it is, {wishes}."
        elif not mend.change.turned:
            yield f"It meets what is wanted as it is ({wishes}; {mend.replications:,} fresh releases)."
        else:
            turned = " and ".join(f"{where}: {value} instead of {now}" for where, now, value in mend.change.turned)
            yield (
                f"The smallest change found that meets what is wanted is {turned} ({wishes}; {mend.replications:,} fresh "
                f"releases, {mend.tried} changes tried)."
            )
    if need is not None and need.rates:
        least = f"from {need.rate} on, of the rates tried" if need.rate else f"at no rate tried up to {need.rates[-1][0]}"
        yield f"As it is, it meets what is wanted {least} ({need.rates[0][0]} to {need.rates[-1][0]}, each twice the last)."
    for where, now, value in need.alone if need is not None else ():
        if value is None:
            yield f"{where} alone makes false aborts as rare as wanted at no value tried."
        elif value != now:
            yield f"{where} alone makes false aborts as rare as wanted from {value} on; it is {now}."


def _also_paused(row: Row) -> str:
    return f", and ends in doubt in {with_interval(row.paused, 'share')}" if row.paused.estimate else ""


def sections(found: Assessment) -> tuple[Section, ...]:
    """The tables."""
    own = [
        Section(f"{at.name[:1].upper()}{at.name[1:]}: {at.rate}", (), _HEADER, tuple(map(_cells, at.rows)))
        for at in found.traffic
    ]
    if len(found.besides) > 1:
        tried, n = found.besides[0].tried.worse.label, found.besides[0].same.back.n
        text = f"Each setting turned to its nearest values, with {n:,} releases each; worse is {tried}."
        own.append(Section("Settings beside these", (text,), _BESIDE, tuple(map(_beside, found.besides))))
    return tuple(own)


def told(found: Assessment) -> str:
    """What the tables are made of, in a sentence or two."""
    return (
        f"{found.replications:,} releases of each version, engine {found.engine}; shares and times are of all releases, from "
        f"the start until they are rolled back; bad answers are {found.bad_are}, beyond the champion's, of a release that is "
        f"rolled back, until it is; the champion fails {format_share(found.champion_errors)}; ranges are 95% Monte-Carlo "
        "intervals."
    )


def to_html(found: Assessment) -> str:
    """One offline file."""
    changes = to_patch(found)
    after = f'<h2>The patch</h2><pre tabindex="0"><code>{escape(changes)}</code></pre>' if changes else ""
    return html_page(_title(found), sentences(found), _all(found), after)


def to_markdown(found: Assessment) -> str:
    """A page for a pull request."""
    changes = to_patch(found)
    # Longer than any row of backticks in it.
    fence = "`" * max(3, 1 + max((len(each) for each in re.findall("`+", changes)), default=0))
    after = f"## The patch\n\n{fence}diff\n{changes}{fence}" if changes else ""
    return markdown_page(_title(found), sentences(found), _all(found), after)


def _all(found: Assessment) -> tuple[Section, ...]:
    return (*sections(found), Section("How it was found", (told(found),)))


def to_patch(found: Assessment) -> str:
    """The smallest change that meets what is wanted, as a unified diff; empty where there is none."""
    return found.mend.patch if found.mend is not None else ""


def to_text(found: Assessment, width: int = 100) -> str:
    """The sentences and tables for a terminal."""
    from textwrap import fill

    parts = [_title(found), "\n".join(fill(text, width) for text in sentences(found))]
    for section in sections(found):
        texts = "".join(f"{fill(text, width)}\n" for text in section.texts)
        parts.append(f"{section.title}\n{texts}{_aligned([section.header, *section.rows])}")
    if found.mend is not None and found.mend.patch:
        parts.append(found.mend.patch.rstrip("\n"))
    return "\n\n".join([*parts, fill(told(found), width)])


def _title(found: Assessment) -> str:
    return f"The risk of {found.policy}"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.worse.label, _share(row.back), _share(row.paused), _share(row.shipped), _time(row.half), _time(row.most),
        _count(row.bad) if row.worse.label != "no worse" else "–", _count(row.missed_per_day),
    )  # fmt: skip


def _beside(each: Beside) -> tuple[str, ...]:
    name = f"{each.setting}: {each.value} instead of {each.now}" if each.setting else "as it is"
    return (
        name, _share(each.same.back), _share(each.tried.back), _time(each.tried.most), _count(each.tried.bad),
        _time(each.takes_s),
    )  # fmt: skip


def _share(estimate: Estimate) -> str:
    value, interval = value_and_interval(estimate, "share")
    return f"{value} ({interval})" if interval else value


def _time(estimate: Estimate) -> str:
    return _NEVER if estimate.estimate is None else number(estimate.estimate, "s")


def _count(estimate: Estimate) -> str:
    return "–" if estimate.estimate is None else number(estimate.estimate, "count")


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells under one another: the first column to the left, the others to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    cells = [zip(row, widths, strict=True) for row in rows]
    lines = ["  ".join(text.rjust(width) if at else text.ljust(width) for at, (text, width) in enumerate(row)) for row in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
