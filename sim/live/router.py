"""A router on loopback: it sends requests to the arms by weight, mirrors them, and times what it sends."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Any

import numpy as np

from sim.arrays import Bools, Floats, Ints
from sim.engine.routes import ByWeight
from sim.live.crew import Crew
from sim.serving.calls import LONGEST_ANSWER, Answer, Endpoint, call
from sim.serving.server import HOST

_MOST_WAITING = 512


@dataclass(eq=False)
class Hop:
    """A call of the router to an arm: of a request, or of a `copy` of it. Times are nanoseconds since the router's start."""

    request: int
    arm: int
    copy: bool
    cohort: int
    arrive_ns: int
    end_ns: int = -1
    answer: Answer = field(default_factory=lambda: Answer(0.0, 0.0, 0))


@dataclass(frozen=True)
class Turn:
    """What the router follows for now: the arm of a request, the shares (K,) that are copied, and the cohort."""

    arm: ByWeight
    mirror: Floats
    cohort: int


@dataclass(frozen=True, eq=False)
class Traffic:
    """The N requests of a rehearsal, in order: when they come, the row of the data in each, and the draws of the router.

    due_ns, row (N,); route (N,) uniforms to compare with the weights; mirror (N, K) with the shares to be copied;
    replication: the one whose requests they are.
    """

    due_ns: Ints
    row: Ints
    route: Floats
    mirror: Floats
    replication: int = 0


class Router:
    """An HTTP server on 127.0.0.1 in front of the arms' servers, for as long as a block lasts.

    `bodies[k][row]` is a row as arm k takes it, since versions may differ in what they take. A client names its request:
    POST /requests/I is answered by the arm that the weights give it; POST /arms/K/rows/J by that arm, and is no part of the
    traffic. What happens in the traffic is kept in the order in which it happens, see `until`.
    """

    def __init__(self, arms: Sequence[Endpoint], bodies: Sequence[Sequence[bytes]], traffic: Traffic, crew: Crew) -> None:
        self._arms, self._bodies, self._traffic, self._crew = arms, bodies, traffic, crew
        self._turn: Turn | None = None
        self._lock = threading.Lock()
        self._log: list[tuple[int, Hop]] = []
        self._start_ns = time.perf_counter_ns()
        self.alone: list[Answer] = []
        self._open = 0
        self._server: HTTPServer | None = None

    def __enter__(self) -> Router:
        self._server = _server(self._answered, self._crew)
        self._crew.start(self._server.serve_forever, 0.05)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    @property
    def endpoint(self) -> Endpoint:
        """Where clients send to; the path is for them to say."""
        assert self._server is not None
        return Endpoint("http", HOST, self._server.server_port, "/")

    @property
    def now_ns(self) -> int:
        """Nanoseconds since the start."""
        return time.perf_counter_ns() - self._start_ns

    def start(self, turn: Turn) -> None:
        """Follow a first turn. The clock starts now."""
        self._start_ns = time.perf_counter_ns()
        self.follow(turn)

    def follow(self, turn: Turn) -> None:
        """Follow another turn from now on."""
        with self._lock:
            self._turn = turn

    def until(self, edge_ns: int) -> list[tuple[int, Hop]]:
        """What has happened before a time that has passed, and was not taken before: (when, a hop that began or ended)."""
        with self._lock:
            count = next((at for at, (when_ns, _) in enumerate(self._log) if when_ns >= edge_ns), len(self._log))
            taken, self._log = self._log[:count], self._log[count:]
        return taken

    def quiet(self) -> None:
        """Wait until no call of the traffic is on its way: each ends in time, as it is given up."""
        while self._open:
            time.sleep(0.01)

    def _answered(self, path: str) -> Answer:
        match path.strip("/").split("/"):
            case ["requests", request] if request.isdecimal() and int(request) < self._traffic.row.size:
                return self._routed(int(request))
            case ["arms", arm, "rows", row] if arm.isdecimal() and row.isdecimal():
                if int(arm) < len(self._arms) and int(row) < len(self._bodies[int(arm)]):
                    answer = call(self._arms[int(arm)], self._bodies[int(arm)][int(row)])
                    self.alone.append(answer)
                    return answer
        return Answer(0.0, 0.0, 404, "no such request")

    def _routed(self, request: int) -> Answer:
        with self._lock:
            turn = self._turn
            if turn is None:
                return Answer(0.0, 0.0, 503, "the rehearsal has not begun")
            arm = turn.arm.arm(float(self._traffic.route[request]), 0.0)
            live = self._begun(request, arm, False, turn.cohort)
            copied: Bools = self._traffic.mirror[request] < turn.mirror
            copies = [self._begun(request, int(to), True, turn.cohort) for to in np.flatnonzero(copied) if to != arm]
        for hop in copies:
            self._crew.start(self._sent, hop)
        return self._sent(live)

    def _begun(self, request: int, arm: int, copy: bool, cohort: int) -> Hop:
        hop = Hop(request, arm, copy, cohort, self.now_ns)
        self._log.append((hop.arrive_ns, hop))
        self._open += 1
        return hop

    def _sent(self, hop: Hop) -> Answer:
        answer = call(self._arms[hop.arm], self._bodies[hop.arm][int(self._traffic.row[hop.request])])
        with self._lock:
            # The time is taken under the lock, so that none is added that lies before what was taken.
            hop.answer, hop.end_ns = answer, self.now_ns
            self._log.append((hop.end_ns, hop))
            self._open -= 1
        return answer


def _server(answered: Callable[[str], Answer], crew: Crew) -> HTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = 60

        def do_POST(self) -> None:
            self.rfile.read(min(int(self.headers.get("Content-Length", "0")), LONGEST_ANSWER))
            answer = answered(self.path)
            # The client may have gone.
            with contextlib.suppress(OSError):
                body = answer.body or answer.said.encode(errors="replace")
                self.send_response(answer.status or 502)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *given: object) -> None:
            pass

    class Server(HTTPServer):
        request_queue_size = _MOST_WAITING

        def process_request(self, request: Any, client_address: Any) -> None:
            crew.start(self._one, request, client_address)

        def _one(self, request: Any, client_address: Any) -> None:
            with contextlib.suppress(OSError):
                self.finish_request(request, client_address)
            self.shutdown_request(request)

    return Server((HOST, 0), Handler)
