"""Rehearse how a new model version meets real traffic.

`load_scenario`, `run_scenario`, `report_run` and `track_run` are what the command line does, as functions.
"""

from sim.errors import InputError, Problem, SimError, TrackingError
from sim.workflow import Outcome, load_scenario, report_run, run_scenario, track_run

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "Outcome",
    "Problem",
    "SimError",
    "TrackingError",
    "load_scenario",
    "report_run",
    "run_scenario",
    "track_run",
]
