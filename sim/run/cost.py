"""What each policy of a run will cost, by the engine that plays it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim.run.blocks import works_of
from sim.run.effort import PROCESS_BYTES, Effort, block_bytes
from sim.run.plan import Plan


@dataclass(frozen=True)
class Cost:
    """What is left to play of a policy on an engine.

    seconds: of one process, over all points and other worlds, with their A/A tests. memory: bytes of a process that
    plays its largest block. seen: whether the seconds are measured on this machine (`sim.run.glance`), and not only told by
    the engine's figures.
    """

    policy: str
    engine: str
    seconds: float
    memory: float
    seen: bool


def costs_of(plan: Plan, effort: Effort) -> Sequence[Cost]:
    """The cost of every policy on every engine that plays it, in the order of the plan; what was played before costs none."""
    works = works_of(plan)
    seconds: dict[tuple[str, str], float] = {}
    memory: dict[tuple[str, str], float] = {}
    # There may be a million tasks, and only a few kinds of them.
    sizes: dict[tuple[int, int], float] = {}
    for task, each in effort.expected.items():
        key, kind = (task.policy, works[task.point].engine), (task.point, task.end - task.first)
        if kind not in sizes:
            sizes[kind] = PROCESS_BYTES + block_bytes(works[task.point], kind[1])
        seconds[key] = seconds.get(key, 0.0) + (0.0 if task in effort.before else each)
        memory[key] = max(memory.get(key, 0.0), sizes[kind])
    return [Cost(*key, seconds[key], memory[key], key[0] in effort.seen) for key in seconds]
