"""Rehearse how a new model version meets real traffic.

`rehearse` plays a scenario in memory, against behaviours that a program gives or versions of a registry, and `load_run` reads a
run folder: both return `Results`, which have tables, the memo, and charts. `load_scenario`, `run_scenario`, `report_run` and
`track_run` are what the command line does, as functions. All names are listed in docs/python.md, and stay.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sim.errors import InputError, Problem, SimError, TrackingError
from sim.version import VERSION as __version__

if TYPE_CHECKING:
    from sim.report.results import Results
    from sim.workflow import Outcome, load_run, load_scenario, rehearse, report_run, run_scenario, track_run

__all__ = [
    "InputError",
    "Outcome",
    "Problem",
    "Results",
    "SimError",
    "TrackingError",
    "__version__",
    "load_run",
    "load_scenario",
    "rehearse",
    "report_run",
    "run_scenario",
    "track_run",
]

# They take a while to load, in which the command line could not be interrupted yet.
_LATER = {"Results": "sim.report.results"} | dict.fromkeys(
    ("Outcome", "load_run", "load_scenario", "rehearse", "report_run", "run_scenario", "track_run"), "sim.workflow"
)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
