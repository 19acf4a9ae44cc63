"""The counters of the aggregate engine's keys: one for each draw of a tick, with lanes below it.

Of each pair, the second is for calls that end after the tick.
"""

from __future__ import annotations

SPLIT, MIRROR, LATE, SEEN, UNSEEN, OUTCOME = (slot << 16 for slot in range(1, 7))
ERROR, KIND, SLOW, ERROR_SLOW = ((slot << 16, slot + 1 << 16) for slot in (7, 9, 11, 13))
WRITES, MIRROR_WRITES = 15 << 16, 16 << 16
