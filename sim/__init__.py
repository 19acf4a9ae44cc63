"""Rehearse how a new model version meets real traffic.

`rehearse` plays a scenario in memory, against behaviours that a program gives or versions of a registry, and `load_run` reads a
run folder: both return `Results`, which have tables, the memo, and charts. `load_scenario`, `run_scenario`, `report_run` and
`track_run` are what the command line does, as functions. All names are listed in docs/python.md, and stay.
"""

from importlib import import_module

# As `typing.TYPE_CHECKING`, without loading anything.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from sim.errors import InputError, Problem, SimError, TrackingError
    from sim.report.results import Results
    from sim.version import VERSION as __version__
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

# Nothing is loaded before it is asked for: the command line cannot be interrupted quietly before it waits for that.
_LATER = {"Results": "sim.report.results"}
_LATER |= dict.fromkeys(("InputError", "Problem", "SimError", "TrackingError"), "sim.errors")
_LATER |= dict.fromkeys(
    ("Outcome", "load_run", "load_scenario", "rehearse", "report_run", "run_scenario", "track_run"), "sim.workflow"
)


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("sim.version").VERSION
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
