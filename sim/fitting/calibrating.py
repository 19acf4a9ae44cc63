"""From files to what was found of them, and to a scenario."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from sim.errors import InputError, Problem
from sim.fitting.events import Options as Events
from sim.fitting.events import Outcomes
from sim.fitting.experiments import Experiments, is_experiments, read_experiments
from sim.fitting.fitting import LogFit, fit_log
from sim.fitting.found import Found
from sim.fitting.log import column_names, read_log
from sim.fitting.page import in_short, page, prior_section
from sim.fitting.priors import Prior, fit_prior
from sim.fitting.writing import Facts, files_of, model_name, texts
from sim.scenario.examples import Start, write_new
from sim.scenario.starting import FACTS
from sim.spelling import did_you_mean, there_are
from sim.units import shown

_RULES = {fact.key: fact.problem for fact in FACTS}
# A fact's own name here, and that of the rule that it has to keep.
_RULE_OF = {"name": "model"}


@dataclass(frozen=True)
class Calibrated:
    """What was found of a team's files, and the facts that stand beside it. `fit` is of logs, `prior` of past experiments."""

    fit: LogFit | None
    prior: Prior | None
    facts: Facts

    def lines(self) -> list[str]:
        """For a terminal: a line for each thing that was found, and what it rests on."""
        lines = [] if self.fit is None else list(self.fit.remarks)
        found = [] if self.fit is None else self.fit.all()
        width = max((len(_name(about, each)) for about, each in found), default=0)
        for about, each in found:
            shown_so = "" if each.written is None else f" [{_short(in_short(each.written))}]"
            lines.append(f"  {_name(about, each):{width}} {' '.join(each.told.split())}{shown_so}")
        lines += self.facts.prior_told
        if self.prior is not None:
            lines += [f"  {name}: {in_short(effect)}" for name, effect in self.prior.plausible().items()]
        return lines

    def to_dict(self) -> dict[str, Any]:
        """As data: by what it is about and what it is."""
        found = [
            {
                "about": about, "what": each.what, "written": each.written, "told": each.told,
                "numbers": {key: {"estimate": value.estimate, "error": value.error} for key, value in each.numbers.items()},
            }
            for about, each in ([] if self.fit is None else self.fit.all())
        ]  # fmt: skip
        content: dict[str, Any] = {"remarks": [] if self.fit is None else list(self.fit.remarks), "found": found}
        if self.prior is not None:
            told = list(self.facts.prior_told)
            content["prior"] = {"effect": self.prior.effect(), "plausible": self.prior.plausible(), "told": told}
        return content


def check_facts(given: Mapping[str, str]) -> None:
    """Raise `InputError`, at the flags, for facts that cannot be."""
    problems = []
    for key, text in given.items():
        if problem := _RULES[_RULE_OF.get(key, key)](text):
            problems.append(Problem(problem, f"--{key.replace('_', '-')}"))
    if problems:
        raise InputError(problems)


def calibrate(
    files: Sequence[Path], roles: Sequence[tuple[str, str]] = (), *, experiment_roles: Mapping[str, str] | None = None,
    latency_unit_s: float | None = None, champion: str | None = None, primary: str | None = None, metric: str | None = None,
    control: str | None = None, next_version: bool = False, facts: Mapping[str, str] | None = None,
    told: Callable[[str], None] | None = None, outcomes: Sequence[Path] = (), events: Events | None = None,
) -> Calibrated:  # fmt: skip
    """What was found of a team's logs, and of tables of its past experiments, which their columns tell apart.

    `roles` are of columns of the logs, `experiment_roles` of those of the tables; `facts` what no file tells, by the key of
    `Facts`. `metric` is the one that a prior is fitted to, `control` the arm that experiments compare with.
    `outcomes` are files of outcomes in rows of their own, and `events` says how they are joined to the requests of the logs;
    with `events.one_log` they stand in the logs themselves. `next_version`: only the champion's requests count, and the
    challenger is the version to come. Raises `InputError` for files that cannot be read or that say nothing, with file, column
    and row.
    """
    names = {file: column_names(file) for file in files}
    said_so = {name for name in (experiment_roles or {}).values() if name}
    tables = [file for file in files if is_experiments(names[file]) or (said_so and said_so <= {*names[file]})]
    logs = [file for file in files if file not in tables]
    if len(tables) > 1:
        message = f"is a second table of past experiments, beside {tables[0]}: put them into one"
        raise InputError([Problem(message, file=str(tables[1]))])
    given = dict(facts or {})
    name = given.pop("name", None) or model_name(files[0].stem)
    prior: Prior | None = None
    said: tuple[str, ...] = ()
    fit = None
    # Optimisers solve small equations, thousands of times. Threads of BLAS only wait for each other there, by spinning: on a
    # machine that is busy, ten times the processor time for nothing.
    with threadpool_limits(limits=1, user_api="blas"):
        if tables:
            past = _of_metric(read_experiments(tables[0], experiment_roles or {}, control), metric, primary, tables[0])
            prior = fit_prior(past.estimates, past.errors, groups=past.experiments)
            said = (*past.notes, *prior.lines())
        if logs:
            how = events or Events()
            joined = Outcomes(logs if how.one_log else outcomes, how) if outcomes or how.one_log else None
            log = read_log(logs, roles, latency_unit_s, told, joined)
            fit = fit_log(log, champion=champion, primary=primary, alone=next_version)
            if joined is not None:
                fit = replace(fit, remarks=(*fit.remarks, *joined.remarks()))
        elif outcomes or events is not None:
            raise InputError([Problem("outcomes are joined to a log of requests, and none is given", "--outcomes")])
    return Calibrated(
        fit, prior,
        Facts(
            name, **given, sources=tuple(file.name for file in (*files, *outcomes)), prior_told=said,
            priors=() if prior is None else tuple(prior.plausible().values()),
        ),
    )  # fmt: skip


def _of_metric(past: Experiments, metric: str | None, primary: str | None, file: Path) -> Experiments:
    """The experiments of one metric: the one that is named, or the only one, or that of the primary outcome's name."""
    known = past.metric_names
    if metric is None and len(known) > 1:
        metric = primary if primary in known else None
        if metric is None:
            message = (
                f"has several metrics: which one? Say --metric NAME; {there_are([name or '(none)' for name in known[:20]])}"
            )
            raise InputError([Problem(message, file=str(file))])
    if metric is not None and metric not in known:
        hint = did_you_mean(metric, known) or there_are(known[:20])
        raise InputError([Problem(f"no metric {shown(metric)}; {hint}", "--metric", str(file))])
    return past if metric is None else past.of(metric)


def write(found: Calibrated, out: Path) -> Start:
    """Write the scenario, its models file and the page of fits; nothing is overwritten, and all are written or none.

    Raises `InputError` where there is no log: a table of experiments alone tells no traffic.
    """
    if found.fit is None:
        instead = "`sim init` writes a scenario of facts, and the prior goes into its `truth`"
        raise InputError([Problem(f"needs a log of requests too, as past experiments tell no traffic: {instead}", "--out")])
    scenario, models = texts(found.fit, found.facts)
    files = files_of(out, found.facts)
    sentences = [
        f"A scenario of {', '.join(found.facts.sources)}: {found.fit.remarks[0]}.",
        *(f"{remark[:1].upper()}{remark[1:]}." for remark in found.fit.remarks[1:]),
        "Each number is an estimate ± its standard error.",
    ]
    sections = () if found.prior is None else (prior_section(found.prior, found.facts.prior_told),)
    html = page(f"{found.facts.name}: calibration", found.fit, sentences, sections)
    write_new(dict(zip(files, (scenario, models, html), strict=True)))
    scenario_file, models_file, _ = (shlex.quote(str(file)) for file in files)
    commands = (f"sim models register {models_file}", f"sim check {scenario_file}", f"sim run {scenario_file}")
    return Start(files, commands)


def _name(about: str, found: Found) -> str:
    """What something is of what, in one line."""
    return " ".join(f"{about}: {found.what}".split())


def _short(text: str, most: int = 90) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
