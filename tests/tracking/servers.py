"""Servers that behave badly, a real one, and a go-between that loses answers."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from tests.tracking.stores import closed_port


@contextlib.contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler, bytes], None]) -> Iterator[str]:
    """The address of a server that has `answer` deal with each request and its body."""

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with contextlib.suppress(OSError):
                answer(self, body)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _any

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        # Not `server_close`, which would wait for answers that never end.
        server.socket.close()


def text(
    handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, kind: str = "application/json", lost: int = 0
) -> None:  # fmt: skip
    """Answer with a body, of which the last `lost` bytes are promised and do not come."""
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) - lost])


class Answer(NamedTuple):
    """What a server answers. Of the body, the last `lost` bytes do not come."""

    body: bytes
    status: int = 200
    kind: str = "application/json"
    lost: int = 0


_APP = """
import sys
from mlflow.server import app
from werkzeug.serving import make_server
make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True).serve_forever()
"""


class RealServer:
    """MLflow's own server in a process, which can be killed and started again. It keeps runs in the store `uri`.

    It keeps artifacts itself, or leaves them to the server `artifacts`, which is one that has no `uri`.
    `mlflow server` starts the same application, and several processes more.
    """

    def __init__(self, home: Path, uri: str | None, artifacts: RealServer | None = None) -> None:
        self._home, self._port, self._process = home, closed_port(), None
        self._uri, self.artifacts = uri, artifacts
        self.address = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and the server of its artifacts, as far as they are not running."""
        if self.artifacts is not None:
            self.artifacts.start()
        if self._process is not None:
            return
        if self.artifacts is None:
            kept = {"SERVE_ARTIFACTS": "true", "ARTIFACT_DESTINATION": str(self._home / "artifacts")}
        else:
            kept = {"SERVE_ARTIFACTS": "false"}
        if self._uri is None:
            kept["ARTIFACTS_ONLY"] = "true"
        else:
            host = self.artifacts.address.removeprefix("http:") if self.artifacts else ""
            kept |= {"FILE_STORE": self._uri, "ARTIFACT_ROOT": f"mlflow-artifacts:{host}/"}
        with open(self._home / "log", "a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _APP, str(self._port)], cwd=self._home, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **{f"_MLFLOW_SERVER_{key}": value for key, value in kept.items()}},
            )  # fmt: skip
        give_up = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{self.address}/health", timeout=5).close()
                return
            except OSError:
                assert time.monotonic() < give_up, (self._home / "log").read_text()[-2000:]
                time.sleep(0.1)

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


class Between:
    """Hands requests on to a server. `fault` is called with the number of each request, and what hands it on.

    It may hand it on and lose the answer, or do something else before or after; `None` as answer closes the connection.
    """

    def __init__(self, address: str) -> None:
        self._host = address.removeprefix("http://")
        self._lock, self.calls = threading.Lock(), 0
        self.fault: Callable[[int, Callable[[], Answer]], Answer | None] = lambda n, hand_on: hand_on()

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        with self._lock:
            self.calls += 1
            n = self.calls

        def hand_on() -> Answer:
            connection = http.client.HTTPConnection(self._host, timeout=60)
            headers = {key: value for key, value in handler.headers.items() if key.lower() not in ("host", "connection")}
            connection.request(handler.command, handler.path, body, headers)
            found = connection.getresponse()
            content = found.read()
            connection.close()
            return Answer(content, found.status, found.headers.get("Content-Type", ""))

        try:
            given = self.fault(n, hand_on)
        except (OSError, http.client.HTTPException):
            given = None
        if given is not None:
            text(handler, given.body, given.status, given.kind, given.lost)
