"""From files to what was found of them, and to a scenario."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.errors import InputError, Problem
from sim.fitting.fitting import LogFit, fit_log
from sim.fitting.log import read_log
from sim.fitting.page import in_short, page
from sim.fitting.writing import Facts, files_of, model_name, texts
from sim.scenario.examples import Start, write_new
from sim.scenario.starting import FACTS

_FLAGS = {
    "horizon": "--horizon",
    "lifetime": "--lifetime",
    "smallest_effect": "--smallest-effect",
    "spread": "--spread",
    "name": "--model",
}


@dataclass(frozen=True)
class Calibrated:
    """What was found of a team's files, and the facts that stand beside it."""

    fit: LogFit
    facts: Facts

    def lines(self) -> list[str]:
        """For a terminal: a line for each thing that was found, and what it rests on."""
        rows = [
            (f"{about}: {each.what}" if about != each.what else about, in_short(each.written), each.told)
            for about, each in self.fit.all()
        ]
        width = max(len(first) for first, *_ in rows)
        lines = [f"{remark}" for remark in self.fit.remarks]
        for first, written, told in rows:
            shown = f" [{_short(written)}]" if written != "left out" else ""
            lines.append(f"  {first:{width}} {told}{shown}")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """As data: by what it is about and what it is."""
        found = [
            {
                "about": about, "what": each.what, "written": each.written, "told": each.told,
                "numbers": {key: {"estimate": value.estimate, "error": value.error} for key, value in each.numbers.items()},
            }
            for about, each in self.fit.all()
        ]  # fmt: skip
        return {"remarks": list(self.fit.remarks), "found": found}


def check_facts(given: Mapping[str, str]) -> None:
    """Raise `InputError`, at the flags, for facts that cannot be."""
    rules = {fact.flag: fact.problem for fact in FACTS}
    problems = []
    for key, text in given.items():
        if problem := rules[_FLAGS[key]](text):
            problems.append(Problem(problem, f"--{key.replace('_', '-')}"))
    if problems:
        raise InputError(problems)


def calibrate(
    files: Sequence[Path], roles: Sequence[tuple[str, str]] = (), *, latency_unit_s: float | None = None,
    champion: str | None = None, primary: str | None = None, facts: Mapping[str, str] | None = None,
    told: Callable[[str], None] | None = None,
) -> Calibrated:  # fmt: skip
    """What was found of a team's logs. `roles` are of their columns, `facts` what no log tells, by the key of `Facts`.

    Raises `InputError` for files that cannot be read or that say nothing, with file, column and row.
    """
    log = read_log(files, roles, latency_unit_s, told)
    fit = fit_log(log, champion=champion, primary=primary)
    given = dict(facts or {})
    name = given.pop("name", None) or model_name(files[0].stem)
    return Calibrated(fit, Facts(name, **given, sources=tuple(file.name for file in files)))


def write(found: Calibrated, out: Path) -> Start:
    """Write the scenario, its models file and the page of fits; nothing is overwritten, and all are written or none."""
    scenario, models = texts(found.fit, found.facts)
    files = files_of(out, found.facts)
    sentences = [
        f"A scenario of {', '.join(found.facts.sources)}: {found.fit.remarks[0]}.",
        *(f"{remark[:1].upper()}{remark[1:]}." for remark in found.fit.remarks[1:]),
        "Each number is an estimate ± its standard error.",
    ]
    html = page(f"{found.facts.name}: calibration", found.fit, sentences)
    write_new(dict(zip(files, (scenario, models, html), strict=True)))
    scenario_file, models_file, _ = (shlex.quote(str(file)) for file in files)
    commands = (f"sim models register {models_file}", f"sim check {scenario_file}", f"sim run {scenario_file}")
    return Start(files, commands)


def _short(text: str, most: int = 90) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
