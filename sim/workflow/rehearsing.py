"""Results in memory: of a scenario that is played, or of a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import InputError, Problem
from sim.given import check_arguments
from sim.spelling import there_are
from sim.units import shown
from sim.workflow.planning import plan_scenario

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from sim.registry.memory import Models
    from sim.report.results import Results
    from sim.scenario.reading import Source


def rehearse(
    scenario: Source,
    models: Models | None = None,
    *,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    parts: Sequence[str | Path] = (),
    baseline: str | None = None,
    workers: int | None = 1,
    samples: int | None = None,
    executor: Executor | None = None,
) -> Results:
    """The results of a scenario that is played in memory: no files, no MLflow runs.

    The same scenario gives the same bits as `sim run`. Without `models`, real versions of the registry run their code, as
    `plan_scenario` says. `baseline` is the policy that other policies are paired with. `samples`,
    at least 2, limits the ticks of the timeline; `workers` are at least 1, None as the work is worth. `executor` plays the
    tasks instead, as in `run_scenario`. The other arguments are
    those of `plan_scenario`. With more than one of `workers`, a script needs `if __name__ == "__main__":` around its work.

    >>> results = rehearse(
    ...     {
    ...         "name": "small", "horizon": "1d", "tick": "1h", "replications": 20, "traffic": {"rate": "1000/h"},
    ...         "models": [{"arm": arm, "uri": f"models:/ranker@{arm}"} for arm in ("champion", "challenger")],
    ...         "metrics": [{"name": "sale", "role": "primary"}],
    ...         "policies": [{"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 5000}}],
    ...     },
    ...     [{"outcomes": {"sale": {"bernoulli": rate}}, "latency": {"constant": "45ms"}} for rate in (0.05, 0.07)],
    ... )
    >>> results
    <Results of small: ab; 20 replications of 1 d>
    >>> int((results.trials["verdict"] == "ship").sum())
    20
    >>> results.to_pandas().query("measure == 'time_to_decision'")[["policy", "unit", "estimate", "n"]].values.tolist()
    [['ab', 's', 37080.0, 20]]
    >>> from matplotlib.figure import Figure
    >>> results.plot.incidence("ship", ax=Figure().subplots()).get_ylabel()
    'share of trials, with 95% bands'
    """
    from sim.compare.comparison import compare_trials
    from sim.compare.enough import targets
    from sim.report.results import Results
    from sim.run import rehearse as run
    from sim.run.crews import crew_for

    stores = {"tracking_uri": tracking_uri, "registry_uri": registry_uri}
    check_arguments(parts=parts, baseline=baseline, workers=workers, samples=samples, **stores)
    with crew_for(executor, None, None if workers == 1 else workers):
        plan = plan_scenario(
            scenario, models, tracking_uri=tracking_uri, registry_uri=registry_uri, parts=parts, workers=workers
        )  # fmt: skip
        names = list(plan.points[0].forms)
        if baseline is not None and baseline not in names:
            raise InputError([Problem(f"no policy {baseline!r}; {there_are(names)}", "baseline")])
        played = run.rehearse(plan, workers=workers, samples=samples, judge=targets)
    comparison = compare_trials(played.record, played.trials, baseline, played.sensitivity)
    return Results(comparison, played.trials, played.timeline, plan.text, sensitivity=played.sensitivity)


def load_run(folder: str | Path) -> Results:
    """The results in a run folder, as `sim run` saved them: nothing is played or changed, and no model's code runs.

    They are of the same type as those of `rehearse`, and for the same scenario, models and seed they are the same. Raises
    `InputError`, which says what to do, for a folder that is no run's, that was cut short or changed, or that another version
    of the program compared.

    >>> load_run("nowhere")
    Traceback (most recent call last):
    sim.errors.InputError: nowhere: no such folder
    """
    from sim.report.results import load_results

    if not isinstance(folder, str | Path):
        raise InputError([Problem(f"must be the path of a run folder; got {shown(folder)}", "folder")])
    return load_results(Path(folder))
