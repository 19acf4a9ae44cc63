"""What share of traffic whole pods give, where no traffic router sets it."""

from __future__ import annotations

import math
from fractions import Fraction


def surge_of(text: object, replicas: int) -> int | None:
    """The pods beyond `replicas` that `maxSurge` allows: a number, or a share of them rounded up. None where it is neither.

    >>> surge_of("25%", 5), surge_of(1, 5), surge_of("some", 5)
    (2, 1, None)
    """
    if isinstance(text, str) and text.endswith("%") and text[:-1].isdecimal() and len(text) < 9:
        return math.ceil(Fraction(int(text[:-1]), 100) * replicas)
    if isinstance(text, str) and text.isdecimal() and len(text) < 9:
        return int(text)
    return text if isinstance(text, int) and not isinstance(text, bool) and 0 <= text < 10**6 else None


def pods_of(replicas: int, weight: int, surge: int, most: int = 100) -> tuple[int, int]:
    """(pods of the canary, all pods) that come nearest to a weight of `most`.

    A canary of some weight has at least a pod, and so has the stable version. With a surge there may be a pod more in all, if
    that comes nearer. Source: the controller of argo-rollouts since v1.2, utils/replicaset/canary.go.

    >>> pods_of(3, 10, 1), pods_of(10, 25, 0), pods_of(1, 20, 1), pods_of(4, 25, 1)
    ((1, 4), (3, 10), (1, 2), (1, 4))
    """
    if replicas == 0:
        return 0, 0
    if weight <= 0 or weight >= most:
        return (0 if weight <= 0 else replicas), replicas
    share = Fraction(weight, most)
    low, high = math.floor(share * replicas), math.ceil(share * replicas)
    alone = replicas == 1 and surge == 0
    options = []
    if high < replicas or alone:
        options.append((high, replicas))
    if (low > 0 or alone) and share * replicas - low != Fraction(1, 2):
        options.append((low, replicas))
    if surge > 0:
        options.append((high, replicas + 1))
        if low > 0 and share * (replicas + 1) - math.floor(share * (replicas + 1)) != Fraction(1, 2):
            options.append((low, replicas + 1))
    if not options:
        return 0, replicas
    # The first of those that are equally near, as the controller takes it.
    return min(options, key=lambda option: abs(Fraction(option[0], option[1]) - share))
