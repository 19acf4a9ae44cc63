"""Tables of plain text: columns as wide as they need, and names without power over the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from sim.errors import visible


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table.

    >>> print(*table(["name", "n"], [["a", "10"], ["longer", "2"]]), sep="\\n")
    name    n
    ------  --
    a       10
    longer  2
    """
    cells = [[visible(cell).replace("\n", " ") for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(heads))]
    first, *rest = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return [first, "  ".join("-" * width for width in widths), *rest]


def facts(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The lines of names and values; empty values are left out, further lines of a value stand below it.

    >>> print(*facts([("kind", "real"), ("run", ""), ("data", "a\\nb")]), sep="\\n")
    kind  real
    data  a
          b
    """
    shown = [(name, visible(value).splitlines()) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    return [f"{name if at == 0 else '':{width}}  {line}".rstrip() for name, lines in shown for at, line in enumerate(lines)]
