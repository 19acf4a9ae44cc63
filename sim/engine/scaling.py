"""When a pool changes its number of replicas: one rule for both event engines."""

from __future__ import annotations

import math
from typing import Any

from sim.jit import compiled, integer

# Kubernetes does not change the number of replicas while the load is within a tenth of the target.
TOLERANCE = 0.1


@compiled
def wanted_replicas(
    wanted: Any, busy_ns: Any, servers_ns: Any, target: Any, least: Any, most: Any, since_change: Any, cool_down: Any
) -> Any:
    """The number of replicas that a pool wants after a tick in which its servers offered servers_ns and were busy for busy_ns.

    It is ceil(wanted * busy / target), as in Kubernetes' horizontal pod autoscaler. The number stays within a tenth of the
    target, and does not fall until `cool_down` ticks after the last change. A pool without servers keeps its number.

    >>> int(wanted_replicas(4, 95, 100, 0.7, 2, 10, 9, 3)), int(wanted_replicas(4, 20, 100, 0.7, 2, 10, 1, 3))
    (6, 4)
    """
    if servers_ns <= 0:
        return integer(wanted)
    ratio = busy_ns / servers_ns / target
    if abs(ratio - 1.0) <= TOLERANCE:
        return integer(wanted)
    asked = min(max(integer(math.ceil(wanted * ratio)), integer(least)), integer(most))
    if asked < wanted and since_change < cool_down:
        return integer(wanted)
    return asked
