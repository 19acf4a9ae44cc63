"""Manifests as policies: which program each object is of, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sim.errors import InputError, Problem
from sim.interop import argo, flagger, kayenta, sagemaker
from sim.interop.accounting import Field
from sim.interop.argo.fields import ROLLOUT, TEMPLATE
from sim.interop.bindings import Binding, read_bindings, skeleton, unknown
from sim.interop.flagger.fields import CANARY
from sim.interop.flagger.fields import TEMPLATE as METRIC_TEMPLATE
from sim.interop.kayenta.fields import CONFIG, REQUEST, STAGE
from sim.interop.objects import Object, read_files, read_objects
from sim.interop.read import Read, name_of
from sim.interop.sagemaker.fields import ALARM, DEPLOYMENT
from sim.interop.writing import Facts, models_of, problem_of, scenario_of
from sim.scenario.examples import Start, write_new
from sim.scenario.reading import read as read_scenario
from sim.units import parse_share

Program = Callable[[list[Object], Mapping[str, Binding], Read], list[Object]]
"""Takes the objects that it reads, adds what it made of them, and returns the others."""

FIELDS: Mapping[str, Mapping[str, tuple[Field, ...]]] = {
    "argo": {"Rollout": ROLLOUT, "AnalysisTemplate": TEMPLATE},
    "flagger": {"Canary": CANARY, "MetricTemplate": METRIC_TEMPLATE},
    "sagemaker": {"DeploymentConfig": DEPLOYMENT, "alarm": ALARM},
    "kayenta": {"canary config": CONFIG, "stage": STAGE, "request": REQUEST},
}
"""The fields of the objects of each program, of which its page is made."""
PROGRAMS: tuple[Program, ...] = (argo.read, flagger.read, sagemaker.read, kayenta.read)


_UNSAID = Facts()


def read_manifests(files: Sequence[Path], bindings: Path | None = None, facts: Facts = _UNSAID) -> Read:
    """What the manifests in files do. Fields that cannot be carried are in its `problems`.

    `facts` say what a manifest does not, such as the canary's share of the traffic.

    Raises `InputError` for files that cannot be read, for files without a rollout, and for bindings of what no manifest has.
    """
    return read_texts(read_files(files), bindings, facts)


def read_texts(texts: Mapping[str, str], bindings: Path | None = None, facts: Facts = _UNSAID) -> Read:
    """What manifests do, as `read_manifests`, from their texts by file: `{"rollout.yaml": "kind: Rollout…"}`."""
    objects = read_objects(texts)
    bound, document = read_bindings(bindings) if bindings is not None else ({}, None)
    found = Read(weight=parse_share(facts.weight), load_test=parse_share(facts.load_test) if facts.load_test else None)
    left = objects
    for program in PROGRAMS:
        left = program(left, bound, found)
    found.aside = left
    if not found.plans:
        if problems := found.problems():
            raise InputError(problems)
        kinds = ", ".join(dict.fromkeys(each.kind or "an object without a kind" for each in objects)) or "nothing"
        names = ", ".join(texts)
        raise InputError(
            [
                Problem(
                    "holds no rollout: no Rollout of Argo, Canary of Flagger, DeploymentConfig of SageMaker or canary config "
                    f"of Kayenta; found {kinds}",
                    file=names,
                )
            ]
        )
    if document is not None:
        unknown(bound, document, found.known)
    return found


def import_manifests(files: Sequence[Path], bindings: Path | None = None, facts: Facts = _UNSAID) -> tuple[Read, Path | None]:
    """What the manifests in files do, as `read_manifests`. A bindings file that is not there is written, and returned.

    It is a skeleton of the measures that must be bound; where none must be, it is not written.
    """
    there = bindings is not None and bindings.exists()
    read = read_manifests(files, bindings if there else None, facts)
    if bindings is None or there or not read.missing:
        return read, None
    write_new({bindings: skeleton(read.missing)})
    return read, bindings


def check_facts(facts: Facts) -> None:
    """Raises `InputError` for facts that cannot be, at their options."""
    if wrong := problem_of(facts):
        raise InputError([Problem(message, flag) for flag, message in wrong.items()])


def write_scenario(read: Read, facts: Facts, out: Path, sources: Sequence[str]) -> Start:
    """Write a scenario of the rollouts and its models file. Nothing is overwritten.

    Raises `InputError` for facts that cannot be, at their options, and for what cannot be played, at the manifest: then
    nothing is written.
    """
    check_facts(facts)
    name = name_of(out.stem, set())
    scenario = scenario_of(name, read.plans, facts, sources)
    if problems := read.problems():
        # Found as the policy was laid out.
        raise InputError(problems)
    try:
        read_scenario(scenario)
    except InputError as error:
        raise InputError(problems_of(error, read)) from None
    models = out.parent / "models" / f"{name}.yaml"
    write_new({out: scenario, models: models_of(name, facts)})
    return Start((out, models), (f"sim models register {models}", f"sim check {out}", f"sim run {out}"))


def problems_of(error: InputError, read: Read) -> list[Problem]:
    """The problems of a scenario that was made of manifests, each once, where its cause is."""
    return list(dict.fromkeys(_placed(problem, read) for problem in error.problems))


def _placed(problem: Problem, read: Read) -> Problem:
    """A problem of the scenario that was made, where its cause is: at an option, or at the rollout."""
    if ".approval" in problem.path:
        return Problem(problem.message, "--approval")
    where = read.plans[0].account.object
    return where.problem((), f"cannot be played: {problem.path}: {problem.message}")
