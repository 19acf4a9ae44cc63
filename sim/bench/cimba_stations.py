"""The benchmark's system as a Cimba model. Cimba reads annotations as objects, so they must not be strings here."""

from functools import cache
from typing import Any

from sim.bench.worlds import LIMIT_S, RATE_PER_S, SERVERS, SERVICE_S


@cache
def stations() -> Any:
    """The class of the model. It is cached, because Cimba compiles each new class."""
    import cimba as cb

    class Stations(cb.Model):
        gap_s: cb.Param[float] = 1 / RATE_PER_S
        service_s: cb.Param[float] = SERVICE_S
        limit_s: cb.Param[float] = LIMIT_S
        left: cb.Store[float]
        right: cb.Store[float]
        requests: int = 0
        slow: int = 0
        total_s: float = 0.0
        served: cb.Output[int]
        above: cb.Output[int]
        mean_s: cb.Output[float]

        @cb.process
        def source(self) -> None:
            while True:
                cb.hold(cb.random.exponential(self.gap_s))
                if cb.random.uniform() < 0.5:
                    self.left.put(cb.now())
                else:
                    self.right.put(cb.now())

        @cb.process(copies=SERVERS)
        def left_server(self) -> None:
            while True:
                came = self.left.get()
                cb.hold(cb.random.exponential(self.service_s))
                self.requests += 1
                self.total_s += cb.now() - came
                if cb.now() - came > self.limit_s:
                    self.slow += 1

        @cb.process(copies=SERVERS)
        def right_server(self) -> None:
            while True:
                came = self.right.get()
                cb.hold(cb.random.exponential(self.service_s))
                self.requests += 1
                self.total_s += cb.now() - came
                if cb.now() - came > self.limit_s:
                    self.slow += 1

        @cb.on_end
        def measure(self) -> None:
            self.served = self.requests
            self.above = self.slow
            self.mean_s = self.total_s / max(self.requests, 1)

    return Stations
