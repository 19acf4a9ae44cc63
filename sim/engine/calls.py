"""The record of every call in an event engine: `sim trace` shows it, and both event engines must give the same record.

A call is one attempt of a request at one arm, live or mirrored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FINISH, ERROR, TIMEOUT, REJECTION = range(4)
NEVER = -1

CALL = np.dtype(
    [
        ("request", np.int64),
        ("user", np.int64),
        ("copy", np.int64),
        ("attempt", np.int64),
        ("arm", np.int64),
        ("arrive_ns", np.int64),
        ("start_ns", np.int64),
        ("end_ns", np.int64),
        ("outcome", np.int64),
        ("retry_ns", np.int64),
    ]
)
"""The fields of a call. request, user and attempt count from 0. copy is 0 for a live call, 1 + arm for a mirrored one.
end_ns is the end that the client sees. start_ns is NEVER for a call that no server took; end_ns and outcome are NEVER for a
call that still waits when the simulation ends; retry_ns is NEVER for a call that is not tried again."""


def ordered(calls: NDArray[np.void]) -> NDArray[np.void]:
    """Calls in the order of events: by arrival, request, copy and attempt.

    >>> calls = np.zeros(2, CALL)
    >>> calls["arrive_ns"] = [5, 3]
    >>> ordered(calls)["arrive_ns"].tolist()
    [3, 5]
    """
    return calls[np.lexsort((calls["attempt"], calls["copy"], calls["request"], calls["arrive_ns"]))]
