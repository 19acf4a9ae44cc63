"""MLflow's own REST server with one version behind it, on loopback, for as long as a block lasts."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from sim.errors import InputError, Problem, visible
from sim.serving.calls import Endpoint, alive

HOST = "127.0.0.1"
STARTS_S = 120.0
"""Seconds that a server has to start."""
_GUARD = Path(__file__).with_name("guard.py")
_GONE_S = 10.0
_LAST_LINES = 8
_CAUSE = re.compile(r"[A-Za-z_][\w.]*(Error|Exception): ")


class Server:
    """A server of the model in a folder. It is started with the block, and ended with it, with every process that it made.

    Its processes are a group of their own under a guard, which kills them when this process ends in any way. It listens on
    127.0.0.1 only. Raises `InputError` where the port is taken, and where the server does not start, with the end of its log.
    """

    def __init__(self, model: Path, *, workers: int = 1, port: int | None = None, starts_s: float = STARTS_S) -> None:
        self._model, self._workers, self._asked, self._starts_s = model, workers, port, starts_s
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._endpoint: Endpoint | None = None

    def __enter__(self) -> Endpoint:
        if os.name != "posix":
            raise InputError(
                [Problem("needs Linux or macOS: start the server yourself and measure it with --endpoint", path="--serve")]
            )
        port = _free(self._asked)
        command = [
            sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(self._model), "--env-manager", "local",
            "--host", HOST, "--port", str(port), "--workers", str(self._workers),
        ]  # fmt: skip
        # A folder of its own, so that no module or store of the current folder is the server's.
        self._folder = tempfile.TemporaryDirectory(prefix="sim-serve-")
        self._log = (Path(self._folder.name) / "log").open("w+b")
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_GUARD), *command], cwd=self._folder.name, env=_environment(),
                stdin=subprocess.PIPE, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            self._endpoint = endpoint = Endpoint("http", HOST, port, "/invocations")
            self._wait(endpoint)
        except BaseException:
            self._end()
            raise
        return endpoint

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def _wait(self, endpoint: Endpoint) -> None:
        assert self._process is not None
        end = time.monotonic() + self._starts_s
        while time.monotonic() < end:
            code = self._process.poll()
            if code is not None:
                raise self._failure(f"ended with exit code {code} before it answered")
            if alive(endpoint):
                return
            time.sleep(0.1)
        raise self._failure(f"did not answer within {self._starts_s:g} s")

    def _failure(self, what: str) -> InputError:
        lines = [line for line in self._said().splitlines() if line.strip()]
        # The cause stands above what those say who were waiting for it.
        causes = [line for line in dict.fromkeys(lines) if _CAUSE.match(line)]
        last = lines[-_LAST_LINES:]
        shown = visible("\n  ".join([*(line[:300] for line in causes if line not in last), *last])) or "nothing"
        lacking = [line.split("'")[1] for line in lines if "ModuleNotFoundError: No module named '" in line]
        cure = f"; if the model needs a package: pip install {lacking[-1].partition('.')[0]}" if lacking else ""
        rule = f"MLflow's server of the version {what}{cure}; the last that it said:\n  {shown}"
        return InputError([Problem(rule, path="--serve")])

    def _said(self) -> str:
        if self._log is None:
            return ""
        self._log.flush()
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 20_000))
        return self._log.read().decode(errors="replace")

    def _end(self) -> None:
        if self._process is not None:
            # Members of the group may be there when its leader has gone.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None
            self._closed()
        if self._log is not None:
            self._log.close()
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.cleanup()

    def _closed(self) -> None:
        """Wait until nobody listens any more: processes that are killed are gone a moment later."""
        end = time.monotonic() + _GONE_S
        while self._endpoint is not None and time.monotonic() < end:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
                tried.settimeout(1.0)
                if tried.connect_ex((HOST, self._endpoint.port)) == errno.ECONNREFUSED:
                    return
            time.sleep(0.02)


def _environment() -> dict[str, str]:
    # The server is to be found as a user would find it: by this interpreter's folder.
    folder = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([folder, os.environ.get("PATH", "")])}


def _free(asked: int | None) -> int:
    """A port of loopback that nobody listens on. Raises `InputError` where the one that is asked for is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((HOST, asked or 0))
        except OSError as error:
            rule = f"cannot be used on {HOST}: {error.strerror}; name another one, or leave it out for a free one"
            raise InputError([Problem(f"{rule}; got {asked}", path="--port")]) from error
        return int(tried.getsockname()[1])
