"""What a file or a program asks for, end to end, as functions. Loads nothing that plays."""

from __future__ import annotations

from sim.workflow.planning import check_scenario, load_scenario, plan_scenario
from sim.workflow.rehearsing import load_run, rehearse
from sim.workflow.running import REPORTS, Outcome, run_scenario
from sim.workflow.telling import FORMATS, report_run
from sim.workflow.tracing import trace_scenario
from sim.workflow.tracking import track_run

__all__ = [
    "FORMATS",
    "REPORTS",
    "Outcome",
    "check_scenario",
    "load_run",
    "load_scenario",
    "plan_scenario",
    "rehearse",
    "report_run",
    "run_scenario",
    "trace_scenario",
    "track_run",
]
