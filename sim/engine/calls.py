"""The fate of every call, as an event engine records it: what `sim trace` shows, and what must be the same in both engines.

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
"""request and user count from 0; copy 0 is live, 1 + arm is mirrored; attempt counts from 0. start_ns is NEVER for a call that
no server took; end_ns (what the client sees) and outcome for one that still waits when everything is over; retry_ns for one
that is not tried again."""


def ordered(calls: NDArray[np.void]) -> NDArray[np.void]:
    """In the order of events: by arrival, request, copy and attempt.

    >>> calls = np.zeros(2, CALL)
    >>> calls["arrive_ns"] = [5, 3]
    >>> ordered(calls)["arrive_ns"].tolist()
    [3, 5]
    """
    return calls[np.lexsort((calls["attempt"], calls["copy"], calls["request"], calls["arrive_ns"]))]
