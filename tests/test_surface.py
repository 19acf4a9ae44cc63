"""What programs may call: names, parameters and defaults that must stay, as docs/python.md lists them."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest
from matplotlib import pyplot as plt

import sim
from sim.report.plots import Plots

FUNCTIONS = [
    "rehearse(scenario, models=None, *, tracking_uri=None, registry_uri=None, parts=(), baseline=None, workers=1, "
    "samples=None, executor=None)",
    "load_run(folder)",
    "run_scenario(path, *, models=None, reports=PosixPath('reports'), out=None, tracking_uri=None, registry_uri=None, "
    "experiment=None, timeout_s=30.0, workers=None, executor=None, cluster=None, log=True, parts=(), changes=(), again=False, "
    "annotate=False, planned=None, noted=None, told=None)",
    "load_scenario(path, *, parts=())",
    "report_run(folder, *, baseline=None, formats=('html', 'md', 'csv', 'png', 'json'))",
    "track_run(folder, *, tracking_uri=None, registry_uri=None, experiment=None, timeout_s=30.0, annotate=False)",
]
OF_RESULTS = [
    "comparison", "trials", "timeline", "scenario", "folder", "where", "sensitivity", "run", "memo", "points", "plot",
    "at(index=None, /, **values)", "to_pandas()",
]  # fmt: skip
OF_PLOT = [
    "incidence(outcome='decided', *, ax=None)", "regret(policy=None, *, ax=None)", "exposure(policy=None, *, ax=None)",
    "frontier(*, ax=None)", "value(*, ax=None)", "along(measure, *, second=None, ax=None)",
]  # fmt: skip
OTHERS = {"Results", "Outcome", "InputError", "Problem", "SimError", "TrackingError", "__version__"}
PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")


def signature(name: str, call: object) -> str:
    """How a function is called, without types."""
    every = inspect.signature(call).parameters.values()  # type: ignore[arg-type]
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in every if each.name != "self"]
    return f"{name}{inspect.Signature(bare)}"


@pytest.mark.parametrize("promised", FUNCTIONS)
def test_functions_keep_their_parameters_and_are_listed(promised: str) -> None:
    name = promised.partition("(")[0]
    assert signature(name, getattr(sim, name)) == promised
    assert f"`{promised.replace(repr(Path('reports')), repr('reports'))}`" in PAGE


def test_every_public_name_is_listed() -> None:
    names = {promised.partition("(")[0] for promised in FUNCTIONS} | OTHERS
    assert set(sim.__all__) == names
    for name in names:
        assert getattr(sim, name)
        assert re.search(rf"`(sim\.)?{name}\b", PAGE), name


def test_results_and_their_charts_keep_what_they_have() -> None:
    found = [each.name for each in fields(sim.Results)]
    for name, member in vars(sim.Results).items():
        if not name.startswith("_") and name not in found:
            found.append(signature(name, member) if inspect.isfunction(member) else name)
    assert set(found) == set(OF_RESULTS)
    charts = [signature(name, each) for name, each in vars(Plots).items() if inspect.isfunction(each) and name[0] != "_"]
    assert charts == OF_PLOT
    for promised in OF_RESULTS:
        assert f"`{promised}`" in PAGE
    for promised in OF_PLOT:
        assert f"`plot.{promised}`" in PAGE


def test_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, as one program."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(blocks), "python.md", "exec", dont_inherit=True), {"__name__": "__main__"})
    assert (tmp_path / "charts.png").stat().st_size > 10_000
    plt.close("all")
