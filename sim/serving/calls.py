"""Calls of a REST endpoint, timed: one after another, many at once, or at times that do not wait for answers."""

from __future__ import annotations

import http.client
import json
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np

from sim.arrays import Floats
from sim.errors import InputError, Problem, visible

TIMEOUT_S = 30.0
"""Seconds after which a call is given up."""
LONGEST_ANSWER = 16 * 2**20
"""Bytes that are read of an answer."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Endpoint:
    """Where rows are sent to.

    >>> print(Endpoint.of("http://127.0.0.1:5000"))
    http://127.0.0.1:5000/invocations
    """

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str, allowed: str | None = None) -> Endpoint:
        """The endpoint of a URL; without a path /invocations.

        Raises `InputError` for a host that is neither this machine nor `allowed`.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            parts, host, port = urlsplit(""), "", None
        if parts.scheme not in ("http", "https") or not host or parts.username or parts.query or parts.fragment:
            rule = "must be the address of a server, such as http://127.0.0.1:5000, without name, password or query"
            raise _wrong(f"{rule}; got {url!r}")
        if host not in LOOPBACK and host != (allowed or "").lower():
            raise _wrong(f"{host} is not this machine: every request is real load there; allow it with --allow-host {host}")
        path = parts.path if parts.path.strip("/") else "/invocations"
        return cls(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path)

    @property
    def here(self) -> bool:
        """Whether it is on this machine."""
        return self.host in LOOPBACK

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


@dataclass(frozen=True)
class Answer:
    """What came of one call. `status` is 0 where nothing came; then `said` has the reason, else the beginning of an error.

    `body` is what was answered to a call that did not fail.
    """

    sent_s: float
    took_s: float
    status: int
    said: str = ""
    body: bytes = field(default=b"", repr=False)

    @property
    def failed(self) -> bool:
        """Whether it is no prediction."""
        return self.status != 200


@dataclass(frozen=True)
class Sent:
    """Calls in the order of their sending: `at_s` (n,), seconds since a start, and `took_s` (n,).

    Times are those of the sending itself: a client that is late is not taken for a server that is slow.
    """

    at_s: Floats
    took_s: Floats


def alive(endpoint: Endpoint) -> bool:
    """Whether /ping of a server is answered with 200."""
    try:
        connection = _connection(endpoint, 2.0)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


def call(endpoint: Endpoint, body: bytes, timeout_s: float = TIMEOUT_S) -> Answer:
    """Send one row over a connection of its own, as one of many clients would."""
    start = time.perf_counter()
    try:
        connection = _connection(endpoint, timeout_s)
        try:
            connection.request("POST", endpoint.path, body, {"Content-Type": "application/json", "Connection": "close"})
            response = connection.getresponse()
            read = response.read(LONGEST_ANSWER)
            took_s = time.perf_counter() - start
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        return Answer(start, time.perf_counter() - start, 0, f"{type(error).__name__}: {error}"[:300])
    if response.status == 200:
        return Answer(start, took_s, response.status, body=read)
    return Answer(start, took_s, response.status, read[:300].decode(errors="replace"))


def probe(endpoint: Endpoint, body: bytes) -> None:
    """Raise `InputError` unless a row is answered with predictions, with what was answered and what to do."""
    try:
        connection = _connection(endpoint, TIMEOUT_S)
        try:
            connection.request("POST", endpoint.path, body, {"Content-Type": "application/json", "Connection": "close"})
            response = connection.getresponse()
            read = response.read(LONGEST_ANSWER)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise _wrong(f"{endpoint} does not answer ({type(error).__name__}: {error}): is the server running?") from error
    kind = response.headers.get_content_type()
    said = visible(" ".join(read[:400].decode(errors="replace").split()))
    if "html" in kind or read.lstrip()[:1] == b"<":
        rule = "must be a scoring server's, which answers a row with JSON: that of `mlflow models serve`, not MLflow's own page"
        raise _wrong(f"{rule}; {endpoint} answers {response.status} and a page: {said[:120]}")
    if response.status != 200:
        raise _wrong(f"{endpoint} answers a row of the data with {response.status}: {said or 'nothing'}")
    try:
        answer = json.loads(read)
    except ValueError:
        raise _wrong(f"{endpoint} must answer a row with JSON; it answers {kind}: {said[:200]}") from None
    if not isinstance(answer, dict | list):
        raise _wrong(f"{endpoint} must answer a row with predictions; it answers {said[:200]}")


def one_by_one(send: Callable[[int], Answer], calls: int) -> list[Answer]:
    """`calls` calls, each after the answer to the one before: nothing ever waits for a server."""
    return [send(at) for at in range(calls)]


def at_once(send: Callable[[int], Answer], clients: int, calls: int) -> tuple[float, list[Answer]]:
    """Calls per second of clients that each send again as soon as they are answered, and the answers."""
    found: list[Answer] = []
    numbers: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    for at in [*range(calls), *[None] * clients]:
        numbers.put(at)

    def client() -> None:
        while (at := numbers.get()) is not None:
            found.append(send(at))

    start = time.perf_counter()
    _joined([threading.Thread(target=client, daemon=True) for _ in range(clients)])
    # When all clients but some have run out of numbers, the server is not full any more.
    ends = sorted(each.sent_s + each.took_s for each in found)
    full = max(1, calls - clients)
    return full / max(ends[full - 1] - start, 1e-9), found


def open_loop(send: Callable[[int], Answer], planned_s: Sequence[float]) -> Sent:
    """Send a call at each of the planned times, whether or not those before are answered."""
    found: list[Answer | None] = [None] * len(planned_s)
    start = time.perf_counter() + 0.05

    def one(at: int) -> None:
        found[at] = send(at)

    threads = []
    for at, due_s in enumerate(planned_s):
        thread = threading.Thread(target=one, args=(at,), daemon=True)
        left_s = start + due_s - time.perf_counter()
        if left_s > 0:
            time.sleep(left_s)
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    answers = [each for each in found if each is not None]
    at_s = np.array([each.sent_s - start for each in answers])
    order = np.argsort(at_s, kind="stable")
    took_s = np.array([each.took_s for each in answers])
    return Sent(at_s[order], took_s[order])


def _joined(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _connection(endpoint: Endpoint, timeout_s: float) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if endpoint.scheme == "https" else http.client.HTTPConnection
    return kind(endpoint.host, endpoint.port, timeout=timeout_s)


def _wrong(rule: str) -> InputError:
    return InputError([Problem(rule, path="--endpoint")])
