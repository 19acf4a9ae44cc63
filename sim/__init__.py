"""Rehearse how a new model version meets real traffic.

`load_scenario`, `run_scenario`, `report_run` and `track_run` are what the command line does, as functions. `rehearse` plays a
scenario in memory, against behaviours that a program gives or versions of a registry.
"""

from sim.errors import InputError, Problem, SimError, TrackingError
from sim.version import VERSION as __version__
from sim.workflow import Outcome, Rehearsal, load_scenario, rehearse, report_run, run_scenario, track_run

__all__ = [
    "InputError",
    "Outcome",
    "Problem",
    "Rehearsal",
    "SimError",
    "TrackingError",
    "__version__",
    "load_scenario",
    "rehearse",
    "report_run",
    "run_scenario",
    "track_run",
]
