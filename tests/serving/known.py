"""A scoring server whose service is known: so many calls at once, each for a drawn time that is far above scheduling noise."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sim.serving.calls import Endpoint

Answering = Callable[[], tuple[int, str, bytes]]


def predictions() -> tuple[int, str, bytes]:
    return 200, "application/json", json.dumps({"predictions": [1]}).encode()


@contextlib.contextmanager
def known(concurrency: int, service_s: float, answering: Answering = predictions) -> Iterator[Endpoint]:
    """The endpoint of a server on loopback, for as long as the block lasts."""
    free = threading.Semaphore(concurrency)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with free:
                time.sleep(service_s)
            status, kind, body = answering()
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 256

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield Endpoint("http", "127.0.0.1", server.server_port, "/invocations")
    finally:
        server.shutdown()
        server.server_close()
