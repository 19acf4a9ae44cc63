"""Rehearse how a new model version meets real traffic.

`load_scenario`, `run_scenario`, `report_run` and `track_run` are what the command line does, as functions.
"""

from sim.errors import InputError, Problem, SimError, TrackingError
from sim.version import VERSION as __version__
from sim.workflow import Outcome, load_scenario, report_run, run_scenario, track_run

__all__ = [
    "InputError",
    "Outcome",
    "Problem",
    "SimError",
    "TrackingError",
    "__version__",
    "load_scenario",
    "report_run",
    "run_scenario",
    "track_run",
]
