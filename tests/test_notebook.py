"""The tutorial notebook: every cell runs from top to bottom, shows what its words say, and is kept without outputs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "notebook.ipynb"


def test_it_is_kept_without_outputs() -> None:
    for cell in json.loads(FILE.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_every_cell_runs_and_shows_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient, of the extra `test`, is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel, of the extra `test`, is not installed")
    import nbformat

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    for place in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(place, str(tmp_path / place))
    # A notebook has a backend of its own.
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = nbformat.read(FILE, as_version=4)
    (tmp_path / "here").mkdir()
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path / "here")}})
    client.execute()
    code: list[Any] = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    # Warnings of a library are on the error stream: a reader must not meet one.
    assert [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
    shown = [output.data for output in outputs if "data" in output]
    pictures = [data for data in shown if "image/png" in data]
    assert len(pictures) == 3
    pages = [data["text/html"] for data in shown if "sim-results" in data.get("text/html", "")]
    assert len(pages) == 2
    assert "Take " in pages[0]
    assert "Which policy wins where?" in pages[1]
    texts = [output.text for output in outputs if output.output_type == "stream"]
    assert any(text.startswith("The bandit decides first in ") for text in texts)
    # What it wrote is a run folder beside it, and nothing else.
    assert [each.name for each in (tmp_path / "here").iterdir()] == ["reports"]
