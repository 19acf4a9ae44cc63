"""What calls compete for: pools of servers, and clients that try again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scaling:
    """Replicas that follow the load.

    At the edge of a tick, with `replicas` wanted so far and a share `busy` of the servers' time used in the tick before,
    the number wanted becomes ceil(replicas * busy / target), within `least` and `most` (Kubernetes' horizontal pod autoscaler).
    More are ready `cold_start_ns` later; fewer only once `cool_down` ticks have passed since the last change.
    """

    least: int
    most: int
    target: float
    cold_start_ns: int
    cool_down: int


@dataclass(frozen=True)
class Pool:
    """Servers that the calls of some arms, live and mirrored, compete for.

    arms: indices of the arms; `replicas` of `concurrency` servers each; `queue` calls may wait, None for any number;
    a client gives up `timeout_ns` after its call arrived, served or not, and `patience_ns` after it where it still waits;
    None for never.
    """

    name: str
    arms: tuple[int, ...]
    replicas: int
    concurrency: int
    queue: int | None
    timeout_ns: int | None
    scaling: Scaling | None = None
    patience_ns: int | None = None

    @property
    def servers(self) -> int:
        """How many calls are served at once, to begin with."""
        return self.replicas * self.concurrency

    @property
    def waits_ns(self) -> int | None:
        """How long a call waits in the queue at most; None for any time."""
        limits = [limit for limit in (self.timeout_ns, self.patience_ns) if limit is not None]
        return min(limits, default=None)

    @property
    def most_servers(self) -> int:
        """How many calls can ever be served at once."""
        return self.concurrency * max(self.replicas, self.scaling.most if self.scaling else 0)


@dataclass(frozen=True)
class Retry:
    """Clients that try again: `attempts` in all, on the ends named.

    The n-th back-off is base_s * factor^(n - 1), at most `longest_s`, times 1 - jitter * u with a fresh uniform u.
    """

    attempts: int
    on_error: bool
    on_timeout: bool
    on_rejection: bool
    base_s: float
    factor: float
    longest_s: float
    jitter: float
