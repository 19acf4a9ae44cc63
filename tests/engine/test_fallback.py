"""Where nothing can be compiled, or no compiled code kept, or what is kept is old: the same results, and a word about it."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from sim.engine import catalogue
from sim.engine.catalogue import make
from sim.run.trial import play
from tests.engine.generated import Seen, game, games, played
from tests.engine.generated_scenarios import POLICIES, built
from tests.thorough import plays as up_to

ROOT = Path(__file__).parents[2]
Told = list[dict[str, Any]]

# Run in a fresh process: `{what}` is a call of a function of this module, after `{first}`.
CODE = """
import json, sys
{first}
from tests.engine import test_fallback
print(json.dumps(test_fallback.{what}))
"""


NO_NUMBA = 'sys.modules["numba"] = None'
# A Numba that is there, and fails as soon as something is compiled.
NO_LLVM = """
import numba
class Broken:
    def __init__(self, function): pass
    def __call__(self, *given): raise OSError("no LLVM here")
numba.njit = lambda **options: Broken
"""


def fresh(what: str, first: str = "", root: Path = ROOT, **environment: str) -> Any:
    """What a function of this module returns in a process of its own, after some other code."""
    code = CODE.format(first=first, what=what)
    environment = {**os.environ, "PYTHONPATH": str(root), **environment}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def trials(asked: list[str]) -> Told:
    """Two policies in worlds in which requests compete: which engine was taken, what was said, and the bits of the trials."""
    told = []
    for number, name in enumerate(asked):
        said = {
            "policy": POLICIES[-1 - number], "seed": 7, "traffic": {"rate": "2/s"}, "errors": "5%", "outage": True,
            "latency": ({"exponential": "1s"}, {"gamma": {"mean": "2s", "sd": "3s"}}), "delay": {"exponential": "15s"},
            "servers": (True, {"replicas": 2, "concurrency": 2, "queue": 10, "timeout": "5s"}), "retries": {"on": ["timeout"]},
            "users": {"count": 30, "activity": {"pareto": 1.5}, "similarity": "50%"},
        }  # fmt: skip
        scenario, world = built(said)
        choice = catalogue.choose(name, world)
        policies = {policy.name: policy for policy in scenario.policies}
        found = play(world.realise(np.arange(3)), policies["it"].build(policies, scenario.arms), make(choice.name), 10)
        arrays = [*found.columns.values(), found.regret, found.live, found.mirror]
        told.append({"engine": choice.name, "warning": choice.warning, "bits": bits(dict(enumerate(arrays)))})
    return told


def bits(arrays: Any) -> str:
    """A digest of some arrays."""
    return hashlib.sha256(b"".join(np.asarray(each).tobytes() for each in arrays.values())).hexdigest()


def plays(engine: str, file: str) -> list[str]:
    """The bits of what an engine makes of games that are kept in a file."""
    from sim.engine.compiled.engine import CompiledEngine
    from sim.engine.reference.engine import SimpyEngine

    kept = pickle.loads(Path(file).read_bytes())
    return [bits(played(CompiledEngine if engine == "compiled" else SimpyEngine, game(said))) for said in kept]


@pytest.fixture(scope="module")
def here() -> Told:
    """With Numba."""
    return trials(["auto", "compiled"])


@pytest.mark.parametrize(
    ("first", "disabled", "reason"),
    [(NO_NUMBA, "0", "numba"), (NO_LLVM, "0", "OSError: no LLVM here"), ("", "1", "NUMBA_DISABLE_JIT is set")],
)
def test_without_a_compiler_simpy_plays_with_a_warning_and_the_same_bits(
    here: Told, first: str, disabled: str, reason: str
) -> None:
    without = fresh("trials(['auto', 'compiled'])", first, NUMBA_DISABLE_JIT=disabled)
    for one, other in zip(here, without, strict=True):
        assert (one["engine"], one["warning"]) == ("compiled", None)
        assert other["engine"] == "simpy"
        assert reason in other["warning"]
        assert "engine simpy plays instead" in other["warning"]
        assert other["bits"] == one["bits"]
    assert here[0]["bits"] != here[1]["bits"]


def test_every_draw_has_the_same_bits_uncompiled(tmp_path: Path) -> None:
    kept: list[Seen] = []

    @given(games())
    @settings(
        max_examples=up_to(30, 60), deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def keep(said: Any) -> None:
        kept.append(said)

    keep()
    file = tmp_path / "games"
    file.write_bytes(pickle.dumps(kept))
    assert fresh(f"plays('simpy', {str(file)!r})", NO_NUMBA) == plays("compiled", str(file))


def test_a_cache_folder_that_cannot_be_written_is_no_trouble(here: Told, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert fresh("trials(['auto'])", NUMBA_CACHE_DIR=str(file / "cache")) == here[:1]


def replicas() -> list[int]:
    """What a compiled function says."""
    from sim.engine.scaling import wanted_replicas

    return [int(wanted_replicas(4, busy, 100, 0.7, 2, 10, 9, 3)) for busy in (95, 20)]


def test_an_installation_that_cannot_be_written_is_no_trouble(tmp_path: Path) -> None:
    for name in ("sim", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    # Even a superuser cannot make a folder where a file is.
    blocked = tmp_path / "sim" / "engine" / "__pycache__"
    blocked.write_text("")
    found = fresh("replicas()", root=tmp_path, HOME=str(blocked), XDG_CACHE_HOME=str(blocked), NUMBA_CACHE_DIR="")
    assert found == replicas() == [6, 2]
    assert blocked.is_file()


def test_a_numba_that_keeps_code_in_another_way_is_no_trouble() -> None:
    first = """
import numba
def njit(plain=numba.njit, **options):
    return lambda function: object() if options.get("cache") else plain(**options)(function)
numba.njit = njit
"""
    assert fresh("replicas()", first) == [6, 2]


def tried() -> list[bool]:
    """After which outcomes a client tries again that does so after errors."""
    from sim.engine.compiled.records import RUN
    from sim.engine.compiled.retries import tries_again

    run = np.zeros(1, RUN)
    run["on_error"] = 1
    return [bool(tries_again(run[0], outcome)) for outcome in range(4)]


def test_kept_code_is_not_used_where_a_constant_has_changed(tmp_path: Path) -> None:
    for name in ("sim", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    calls, told = tmp_path / "sim" / "engine" / "calls.py", "FINISH, ERROR, TIMEOUT, REJECTION = range(4)"
    assert told in calls.read_text()
    keep = {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    assert fresh("tried()", root=tmp_path, **keep) == [False, True, False, False]
    calls.write_text(calls.read_text().replace(told, "FINISH, TIMEOUT, ERROR, REJECTION = range(4)"))
    assert fresh("tried()", root=tmp_path, **keep) == [False, False, True, False]
