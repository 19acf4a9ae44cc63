"""What the policies of a run have in common, by the engine that played it: for readers, who need no engine."""

from __future__ import annotations

_SAME_REQUESTS = "policies meet the same requests, each with the same answer from every arm"

IN_COMMON = {
    "aggregate": "policies meet the same arrivals, and the same outcomes while their routing agrees",
    "compiled": _SAME_REQUESTS,
    "simpy": _SAME_REQUESTS,
}
