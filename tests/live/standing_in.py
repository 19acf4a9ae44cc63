"""Scoring servers that stand in for MLflow's in this process: the version's own answers, after a wait that is known."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd

from sim.serving.calls import Endpoint

Change = Callable[[int, int, float, Any], tuple[float, int, Any]]
"""What a server does otherwise: (its number, its calls so far, wait in seconds, answer) to (wait, status, answer)."""


def as_it_is(server: int, calls: int, wait_s: float, answer: Any) -> tuple[float, int, Any]:
    return wait_s, 200, answer


class StandIns:
    """Makes servers with the interface of `sim.serving.server.Server`, numbered from 0; `running` are those not ended."""

    def __init__(self, change: Change = as_it_is, wait_s: float = 0.015) -> None:
        self._change, self._wait_s = change, wait_s
        self.made = 0
        self.running: set[int] = set()
        self.ports: list[int] = []

    def __call__(self, model: Path, **settings: object) -> StandIn:
        self.made += 1
        return StandIn(self, self.made - 1, model)

    def answered(self, server: int, calls: int, answer: Any) -> tuple[float, int, Any]:
        return self._change(server, calls, self._wait_s, answer)


class StandIn:
    def __init__(self, owner: StandIns, number: int, model: Path) -> None:
        self._owner, self._number = owner, number
        self._model = mlflow.pyfunc.load_model(str(model), suppress_warnings=True)
        self._known: dict[bytes, Any] = {}
        self._calls = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Endpoint:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                wait_s, status, answer = stand_in.answer(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(wait_s)
                body = json.dumps({"predictions": [answer]}).encode()
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 256

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self._owner.running.add(self._number)
        self._owner.ports.append(self._server.server_port)
        return Endpoint("http", "127.0.0.1", self._server.server_port, "/invocations")

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._owner.running.discard(self._number)

    def answer(self, body: bytes) -> tuple[float, int, Any]:
        with self._lock:
            self._calls += 1
            if body not in self._known:
                split = json.loads(body)["dataframe_split"]
                self._known[body] = self._model.predict(pd.DataFrame(split["data"], columns=split["columns"])).tolist()[0]
            return self._owner.answered(self._number, self._calls, self._known[body])
