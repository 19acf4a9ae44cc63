"""Reports without the work of drawing: a run of a moment takes two seconds to draw fifteen charts that its test ignores.

What charts show is worked out as ever, with their titles, descriptions and tables; only Matplotlib's pictures are left empty.
`tests/report` draws them all, and so do modules that are marked `drawn`.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import pack
from typing import Any

import pytest

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>'


def _png() -> bytes:
    """A picture of one white pixel."""
    parts = ((b"IHDR", pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0\xff")), (b"IEND", b""))
    chunks = (pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data)) for kind, data in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _empty(figure: object, file: Any, *given: Any, format: str | None = None, **named: Any) -> None:
    """Stands for `Figure.savefig`."""
    kind = format or Path(file).suffix[1:]
    assert kind in ("svg", "png"), f"no empty picture of kind {kind}: mark the module `drawn`"
    content = SVG.encode() if kind == "svg" else _png()
    if isinstance(file, io.StringIO):
        file.write(content.decode())
    elif hasattr(file, "write"):
        file.write(content)
    else:
        Path(file).write_bytes(content)


def leave_empty(patch: pytest.MonkeyPatch) -> None:
    """Leaves pictures empty, and has no other process draw some of them."""
    patch.setattr("matplotlib.figure.Figure.savefig", _empty)
    patch.setattr("sim.report.beside.pays", lambda run: False)


@pytest.fixture(autouse=True, scope="module")
def undrawn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leaves pictures empty in the modules of the folder whose conftest imports this, but for those that are marked `drawn`."""
    if request.node.get_closest_marker("drawn"):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        leave_empty(patch)
        yield
