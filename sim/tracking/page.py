"""What MLflow's page needs to show runs well: the kind of an experiment, its columns, addresses, the description of a run."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import quote

from sim.compare.memo import unit_of
from sim.report.listed import NAME as TABLE
from sim.report.picture import NAME as PICTURE
from sim.tracking.folder import RunFolder
from sim.tracking.runs import PARENT

if TYPE_CHECKING:
    from mlflow import MlflowClient

KIND, CUSTOM = "mlflow.experimentKind", "custom_model_development"
"""The tag that says what an experiment is of, and its value for one of runs, not of traces of language models."""
VIEW = "mlflow.sharedViewState.rehearsals"
"""The tag of the view that the page offers under *Views*, and by an address with `viewStateShareKey=rehearsals`."""
MODE = "workflowType=machine_learning"
"""What opens the page for models, not for language models, whichever was used before in a browser."""
_COLUMNS = (
    "tags.`sim.took`", "metrics.`net_value`", "metrics.`ship`", "metrics.`wrong_ship`", "metrics.`missed_win`",
    "metrics.`time_to_decision_p50`", "tags.`sim.models`", "tags.`sim.thresholds`", "tags.`sim.question`",
)  # fmt: skip
_LIST = {
    "searchFilter": "", "orderByKey": "attributes.start_time", "orderByAsc": False, "startTime": "ALL",
    "lifecycleFilter": "Active", "datasetsFilter": [], "modelVersionFilter": "All Runs",
}  # fmt: skip
# The page shows views by the time at which they were made; this one is always the same.
_MADE_MS = 0


def prepare(client: MlflowClient, experiment_id: str) -> None:
    """Tag an experiment so that the page lists its runs with columns of results. What is set already stays as it is."""
    tags = client.get_experiment(experiment_id).tags
    for key, value in {KIND: CUSTOM, VIEW: view()}.items():
        if key not in tags:
            client.set_experiment_tag(experiment_id, key, value)


def view() -> str:
    """The value of `VIEW`: a list of runs with the columns that matter."""
    state = json.dumps({**_LIST, "selectedColumns": list(_COLUMNS)})
    return json.dumps({"name": "Rehearsals", "createdAt": _MADE_MS, "updatedAt": _MADE_MS, "state": state})


def address(experiment_id: str, run_id: str) -> str:
    """The page of a run, relative to the server's.

    >>> address("1", "ab")
    '#/experiments/1/runs/ab?workflowType=machine_learning'
    """
    return f"#/experiments/{experiment_id}/runs/{run_id}?{MODE}"


def charts(experiment_id: str, run_id: str) -> str:
    """The page that draws the nested runs of a run in charts, with a line or a bar for each.

    There is no such page of their list: with a search the page has no columns of results but those a browser keeps.
    """
    # In the order of time the page puts nested runs below their parents.
    asked = {
        "searchFilter": f"tags.`{PARENT}` = '{run_id}'",
        "orderByKey": "tags.`mlflow.runName`",
        "orderByAsc": "true",
        "compareRunsMode": "CHART",
    }
    return f"#/experiments/{experiment_id}/runs?{MODE}&{'&'.join(f'{key}={quote(value)}' for key, value in asked.items())}"


def description(
    folder: RunFolder, experiment_id: str, run_id: str, *, nested: bool, models: Collection[str], most: int
) -> str:  # fmt: skip
    """The description of the scenario's run, in Markdown: the question, the memo, the picture, and where to go from here.

    `nested`: whether the run has nested runs. `models` are the ids of the logged models that this store has, whose versions
    are linked. A memo is shortened where all of it has more than `most` characters.
    """
    record, comparison, names = folder.record, folder.comparison, [file.name for file in folder.files]
    run = f"#/experiments/{experiment_id}/runs/{run_id}"
    after = []
    if (taken := taken_by(folder)) is not None:
        after.append(
            f"Metrics of this run are those of the policy taken, {_plain(taken)}; times are in seconds, "
            f"worth is in {_plain(unit_of(record))}."
        )
    if PICTURE in names:
        after.append(f"![policies side by side](get-artifact?path={PICTURE}&run_uuid={run_id})")
    links = [f"[{name}]({run}/artifacts/{name}?{MODE})" for name in ("report.html", TABLE) if name in names]
    if nested:
        what = "points" if record.paths else "policies"
        links.append(f"[charts of the {what}]({charts(experiment_id, run_id)})")
    after.append(" · ".join(links))
    versions = dict.fromkeys((each.name, each.version) for each in record.all_versions if each.model_id in models)
    pages = [
        f"[{_plain(name)} {number}](#/models/{quote(name, safe='')}/versions/{number}?{MODE})" for name, number in versions
    ]
    after.append(f"Versions: {', '.join(pages)}" if pages else "")
    end = "\n\n".join(part for part in after if part)
    # The verdict stands for the memo, until there is one.
    start = "\n\n".join(text for text in (record.question, comparison.verdict if comparison else "") if text)
    return "\n\n".join(part for part in (cut(start, most - len(end) - 2), end) if part)


def taken_by(folder: RunFolder) -> str | None:
    """The policy that a rehearsal without a sweep takes; None where it takes none."""
    comparison = folder.comparison
    return None if comparison is None or folder.record.paths else comparison.points[0].decision.chosen


def cut(text: str, length: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= length else text[: max(length - 1, 0)] + "…"


def _plain(name: str) -> str:
    """A name as Markdown shows it.

    >>> _plain("a_b[c]")
    'a\\\\_b\\\\[c\\\\]'
    """
    return "".join(f"\\{letter}" if letter in "\\`*_[]()<>!#|" else letter for letter in name)
