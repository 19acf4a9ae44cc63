"""The cost of compilation: the first call of the compiled engine in a fresh process, with and without machine code on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sim.errors import SimError


@dataclass(frozen=True)
class Compiling:
    """Seconds of the first call, as processor time and wall time: without (cold) and with machine code on disk (cached)."""

    cold_cpu_s: float
    cold_wall_s: float
    cached_cpu_s: float
    cached_wall_s: float


def compiling() -> Compiling:
    """Measure two fresh processes, one after the other. They share a folder for machine code, which is empty at first."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        times = [seconds for _ in range(2) for seconds in _fresh([sys.executable, "-m", "sim.bench.compiling"], environment)]
    return Compiling(*times)


def _fresh(command: Sequence[str], environment: Mapping[str, str]) -> list[float]:
    """What a fresh process measures. It ends when this one does, however: its standard input is a pipe that is then closed."""
    reads, writes = os.pipe()
    try:
        done = subprocess.run(command, env=environment, stdin=reads, capture_output=True, text=True, check=False)
    finally:
        os.close(reads)
        os.close(writes)
    if done.returncode != 0:
        raise SimError(f"the compiled engine failed in a fresh process: {done.stderr.strip()[-500:]}")
    measured: list[float] = json.loads(done.stdout)
    return measured


def _main() -> None:
    from sim.bench.measure import timed
    from sim.bench.worlds import play, stations

    threading.Thread(target=_follow_parent, daemon=True).start()
    world = stations(1000)
    _, cpu_s, wall_s = timed(lambda: play(world, "compiled"))
    print(json.dumps([cpu_s, wall_s]))


def _follow_parent() -> None:
    # Nothing is ever written: the end of the pipe is the end of the parent.
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    _main()
