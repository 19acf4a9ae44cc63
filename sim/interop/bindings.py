"""The bindings file: what measures mean that are no query that is recognised, such as those of other providers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from sim.errors import InputError, Problem
from sim.interop.queries import Measure, Whose
from sim.scenario.loading import Document, read_yaml, validate
from sim.scenario.spec import Spec
from sim.units import Duration, Share


class Binding(Spec):
    """What a measure gives.

    >>> Binding(measures="success_rate", unit="percent", window="1m").measure().moved(1.0).offset
    100.0
    """

    measures: Literal["error_rate", "success_rate", "latency", "mean_latency", "requests", "nothing"] = Field(
        description="`nothing` is a measure of something that is not simulated, and always good"
    )
    unit: Literal["share", "percent", "s", "ms"] | None = Field(None, description="of its numbers; share or s if left out")
    quantile: Share | None = Field(None, gt=0, lt=1, description="of a latency")
    window: Duration | None = Field(None, description="how far back it looks")
    sees: Literal["canary", "both"] = Field("canary", description="whose requests: the canary's, or those of both versions")

    @model_validator(mode="after")
    def _fitting(self) -> Binding:
        if self.measures == "nothing":
            return self
        if self.window is None:
            raise ValueError("window is required: how far back it looks")
        if (self.measures == "latency") != (self.quantile is not None):
            raise ValueError("quantile is for a latency, which needs it")
        units = {"error_rate": ("share", "percent"), "success_rate": ("share", "percent")}.get(
            self.measures, ("s", "ms") if self.measures.endswith("latency") else ()
        )
        if self.unit is not None and self.unit not in units:
            raise ValueError(f"unit of {self.measures} must be {' or '.join(units) or 'left out'}, got {self.unit}")
        return self

    def measure(self) -> Measure:
        """The measure of the binding."""
        whose = Whose.CANARY if self.sees == "canary" else Whose.BOTH
        window_s = self.window or 0.0
        scale = {"percent": 100.0, "ms": 1000.0}.get(self.unit or "", 1.0)
        if self.measures == "success_rate":
            return Measure("error_rate", window_s, whose, scale=-1.0, offset=1.0).moved(scale)
        zero = 0.0 if self.measures == "requests" else float("nan")
        return Measure(self.measures, window_s, whose, scale=scale, quantile=self.quantile, zero=zero)


class _File(Spec):
    bindings: dict[str, Binding] = Field(description="by template and metric, such as success-rate/errors")


def read_bindings(file: Path) -> tuple[dict[str, Binding], Document]:
    """The bindings of a file, and its document. Raises `InputError` with every problem, each at its line."""
    document = read_yaml(file)
    return validate(document, _File).bindings, document


def skeleton(missing: dict[str, str]) -> str:
    """A bindings file to fill in, of the measures that need one, each with why."""
    lines = [
        "# What these measures mean, written by `sim import`. Fill in each; a measure of nothing that is simulated is",
        "# `measures: nothing`, and is always good.",
        "bindings:",
    ]
    for name, why in missing.items():
        lines += [
            f"  # {' '.join(why.split())}",
            f"  {json.dumps(name)}:",
            "    measures:              # error_rate, success_rate, latency, mean_latency, requests or nothing",
            "    # unit: percent        # or share; of a latency s or ms",
            "    # quantile: 99%        # of a latency",
            "    # window: 1m           # how far back it looks",
            "    # sees: canary         # or both: it cannot tell the versions apart",
        ]
    return "\n".join(lines) + "\n"


def unknown(bindings: dict[str, Binding], document: Document, known: set[str]) -> None:
    """Raise `InputError` for bindings of measures that no manifest has."""
    from sim.errors import format_path
    from sim.spelling import did_you_mean, there_are

    problems = [
        document.place(
            Problem(
                f"no measure {name!r} in these manifests; {did_you_mean(name, sorted(known)) or there_are(sorted(known))}",
                format_path(("bindings", name)),
            )
        )
        for name in bindings
        if name not in known
    ]
    if problems:
        raise InputError(problems)
