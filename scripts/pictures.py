"""Draws the pictures of docs/tasks from runs of the scenarios that the pages are about, by `sim.load_run(...).plot`.

Runs are kept in a folder, and one that is finished there is not played again. Usage:
`python scripts/pictures.py [--runs FOLDER] [--only PAGE]`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sim
from sim.scenario import examples
from sim.scenario.loading import read_yaml

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "tasks"


@dataclass(frozen=True)
class Picture:
    """What is drawn for a page: the example that is played, and the chart of its results on some axes."""

    scenario: str
    draw: Callable[[Any, Axes], Any]

    def file(self, page: str) -> Path:
        """Where it stands."""
        return PAGES / f"{page}.svg"


def _by_prior(results: Any, axes: Axes) -> None:
    results.plot.along("net_value", ax=axes)
    names = ["normal, sd 3%", "normal, sd 1%", "t(2), scale 1%", "−1% or +4%"]
    axes.set_xticks(axes.get_xticks()[: len(names)], names)
    axes.set_xlabel("prior of the relative effect")
    # Shipping at once loses so much at every prior that nothing else could be read beside it.
    axes.set_yscale("linear")
    axes.set_ylim(-2_000, 9_000)
    axes.set_ylabel("net value, conversion, linear")


PICTURES = {
    "argo": Picture("argo-rollout", lambda results, axes: results.plot.incidence("keep", ax=axes)),
    "late-feedback": Picture("late-buyers", lambda results, axes: results.plot.along("net_value", ax=axes)),
    "prior": Picture("which-prior", _by_prior),
    "low-traffic": Picture("low-traffic", lambda results, axes: results.plot.value(ax=axes)),
    "engines": Picture("three-engines", lambda results, axes: results.plot.along("time_to_decision", ax=axes)),
}


def behaviours(scenario: Path) -> list[dict[str, Any]]:
    """The behaviours of a scenario's versions, in its order, from the models files that come with it."""
    known = {
        f"models:/{described['model']}@{version['alias']}": {
            key: value for key, value in version.items() if key not in ("alias", "description")
        }
        for described in (read_yaml(file).data for file in examples.models().values())
        for version in described["versions"]
    }
    return [known[model["uri"]] for model in read_yaml(scenario).data["models"]]


def draw(page: str, runs: Path) -> Path:
    """Play the scenario of a page, unless that is done, and write its picture: SVG on white, the same bytes every time."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    picture = PICTURES[page]
    file = examples.scenarios()[picture.scenario]
    sim.run_scenario(file, models=behaviours(file), out=runs / picture.scenario, log=False, workers=1)
    into = picture.file(page)
    # Texts stay texts, in the reader's font: paths of letters would be most of the file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": page, "font.family": "sans-serif"}):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained", facecolor="white")
        picture.draw(sim.load_run(runs / picture.scenario), figure.subplots())
        figure.savefig(into, format="svg", metadata={"Date": None, "Creator": None})
    return into


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=ROOT / "reports" / "tasks", help="where the runs are kept")
    parser.add_argument("--only", choices=PICTURES, help="one page")
    asked = parser.parse_args(arguments)
    for page in [asked.only] if asked.only else PICTURES:
        print(draw(page, asked.runs))


if __name__ == "__main__":
    main()
