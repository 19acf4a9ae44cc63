"""A page of sentences and tables, as HTML and as Markdown: what follows first, then sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from sim.report import markdown
from sim.report.html import POLICY
from sim.report.parts import scrolling_table, table_row
from sim.report.style import CSS

# Columns of texts, which wrap, in tables of numbers.
_NAMES = ("policy", "run")


@dataclass(frozen=True)
class Section:
    """A part of the page: sentences, and a table whose first column names its rows."""

    title: str
    texts: tuple[str, ...]
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    style: str = ""


def html_page(
    heading: str, sentences: Sequence[str], sections: Sequence[Section], after: str = "", *, heading_of_answer: str = "Verdict"
) -> str:  # fmt: skip
    """One offline file without scripts; every text is escaped. The first sentence is the answer; `after` is HTML at the end."""
    title = escape(heading)
    answer, *rest = sentences
    body = "\n".join(map(_html, sections))
    points = "".join(f"<li>{escape(text)}</li>" for text in rest)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{title}</title>
<style>{CSS}</style>
</head>
<body>
<header><h1>{title}</h1></header>
<main>
<section class="verdict"><h2>{escape(heading_of_answer)}</h2><p>{escape(answer)}</p><ul>{points}</ul></section>
{body}{after}
</main>
</body>
</html>
"""


def _html(section: Section) -> str:
    texts = "".join(f"<p>{escape(text)}</p>\n" for text in section.texts)
    if not section.rows:
        return f"<h2>{escape(section.title)}</h2>\n{texts}"
    looks = [' class="name"' if name in _NAMES else "" for name in section.header]
    rows = (
        table_row(first, (f"<td{look}>{escape(cell)}</td>" for look, cell in zip(looks[1:], rest, strict=True)))
        for first, *rest in section.rows
    )
    return f"<h2>{escape(section.title)}</h2>\n{texts}{scrolling_table(section.title, section.header, rows, section.style)}"


def markdown_page(heading: str, sentences: Sequence[str], sections: Sequence[Section], after: str = "") -> str:
    """The page for a pull request; `after` is Markdown at the end."""
    answer, *rest = (markdown.escape(text) for text in sentences)
    parts = [f"# {heading}", f"**{answer}**", "\n".join(f"- {text}" for text in rest)]
    for section in sections:
        parts.append(f"## {markdown.escape(section.title)}")
        parts += map(markdown.escape, section.texts)
        if section.rows:
            lines = [section.header, tuple("---" for _ in section.header), *section.rows]
            cells = [" | ".join(line if at == 1 else map(markdown.escape, line)) for at, line in enumerate(lines)]
            parts.append("\n".join(f"| {line} |" for line in cells))
    return "\n\n".join(filter(None, [*parts, after])) + "\n"
