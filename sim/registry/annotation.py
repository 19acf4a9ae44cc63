"""The section of a version's description that this program writes; what people wrote around it stays."""

from __future__ import annotations

import re

_BEGIN, _END = "<!-- sim: rehearsal -->", "<!-- sim: end -->"
_LONGEST = 4000
_SECTION = re.compile(f"{_BEGIN}(?:(?!{_BEGIN}).)*?{_END}", re.DOTALL)


def annotated(description: str, section: str) -> str:
    """The description with this section in place of the one that was there, or else at its end.

    The two marks are comments of Markdown, so that no page shows them. A mark without its partner is text of somebody else.

    >>> print(annotated(annotated("Trained on May's clicks.", "Take ab."), "Take canary."))
    Trained on May's clicks.
    <BLANKLINE>
    <!-- sim: rehearsal -->
    Take canary.
    <!-- sim: end -->
    """
    safe = section.replace(_BEGIN, "").replace(_END, "").strip()
    own = f"{_BEGIN}\n{safe if len(safe) <= _LONGEST else safe[: _LONGEST - 1] + '…'}\n{_END}"
    before, after = _around(description)
    if before is None:
        return f"{description}\n\n{own}" if description.strip() else own
    return f"{before}{own}{after}"


def by_people(description: str) -> str:
    """The description without this program's section.

    >>> by_people(annotated("Trained on May's clicks.", "Take ab.")), by_people(annotated("", "Take ab."))
    ("Trained on May's clicks.", '')
    """
    before, after = _around(description)
    return description if before is None else f"{before.rstrip()}{after}" if before.strip() else after.lstrip()


def kept(description: str, before: str) -> str:
    """A description by people with the section that stood in the one `before`."""
    begun, after = _around(before)
    return description if begun is None else annotated(description, before[len(begun) : len(before) - len(after)])


def _around(description: str) -> tuple[str | None, str]:
    """What stands before the section and after it; None before where there is none."""
    found = _SECTION.search(description)
    return (description[: found.start()], description[found.end() :]) if found else (None, "")
