"""Retries: which calls are tried again, and a heap (R, H, 4) of due retries: time, request, attempt, first arrival."""

from __future__ import annotations

from typing import Any

from sim.engine.calls import ERROR, TIMEOUT
from sim.jit import compiled


@compiled
def tries_again(run: Any, outcome: Any) -> Any:
    """Whether clients try again after an outcome other than a good answer."""
    if outcome == ERROR:
        return run.on_error != 0
    if outcome == TIMEOUT:
        return run.on_timeout != 0
    return run.on_rejection != 0


@compiled
def push(heap: Any, r: Any, size: Any, time: Any, request: Any, attempt: Any, first: Any) -> None:
    """Add a retry to the heap of a replication, which has `size` retries."""
    place = size
    while place > 0:
        parent = (place - 1) // 2
        if heap[r, parent, 0] < time or (heap[r, parent, 0] == time and heap[r, parent, 1] < request):
            break
        for field in range(4):
            heap[r, place, field] = heap[r, parent, field]
        place = parent
    heap[r, place, 0], heap[r, place, 1], heap[r, place, 2], heap[r, place, 3] = time, request, attempt, first


@compiled
def pop(heap: Any, r: Any, size: Any) -> None:
    """Remove the first of `size` retries. A request has at most one retry at a time, so (time, request) is a total order."""
    last = size - 1
    time, request = heap[r, last, 0], heap[r, last, 1]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= last:
            break
        right = child + 1
        if right < last and (
            heap[r, right, 0] < heap[r, child, 0]
            or (heap[r, right, 0] == heap[r, child, 0] and heap[r, right, 1] < heap[r, child, 1])
        ):
            child = right
        if time < heap[r, child, 0] or (time == heap[r, child, 0] and request < heap[r, child, 1]):
            break
        for field in range(4):
            heap[r, place, field] = heap[r, child, field]
        place = child
    for field in range(4):
        heap[r, place, field] = heap[r, last, field]
