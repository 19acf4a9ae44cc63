"""The cost of compilation: the first call of the compiled engine in a fresh process, with and without machine code on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
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
        times: list[float] = []
        for _ in range(2):
            command = [sys.executable, "-m", "sim.bench.compiling"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise SimError(f"the compiled engine failed in a fresh process: {done.stderr.strip()[-500:]}")
            times += json.loads(done.stdout)
    return Compiling(*times)


def _main() -> None:
    from sim.bench.measure import timed
    from sim.bench.worlds import play, stations

    world = stations(1000)
    _, cpu_s, wall_s = timed(lambda: play(world, "compiled"))
    print(json.dumps([cpu_s, wall_s]))


if __name__ == "__main__":
    _main()
