"""A process of its own that logs a folder, so that no server can keep the command waiting: it is ended when its time is over.

Whatever a server or a driver does (a byte a second, a connection that never answers), waiting for another process always ends.
The process also ends with its parent. It reads one request from its standard input, and writes events, each a line of JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, cast

from sim.errors import InputError, Problem, TrackingError
from sim.tracking.log import Logged, Progress

if TYPE_CHECKING:
    from sim.tracking.folder import RunFolder

LONGEST_ANSWER = 64 * 2**20
"""Bytes. The longest answer of a server that is read."""

_START = "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); from sim.tracking.child import main; main()"


# What it needs of this program: it is loaded with the libraries, while others still write the report.
_OWN = ("sim.tracking.log", "sim.tracking.folder", "sim.tracking.lineage", "sim.scenario.loading", "sim.compare.trials")


class Late(Exception):
    """The time is over. `progress` is what was logged until then; None if nothing was."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        super().__init__()


class Child:
    """The process, in the parent. From `start` on it loads what the store `uri` needs, and it ends with the block.

    >>> with Child("sqlite:///mlflow.db") as child:
    ...     child.log("nowhere", timeout_s=30)
    Traceback (most recent call last):
    sim.errors.InputError: nowhere: no such folder
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._said: deque[bytes] = deque(maxlen=100)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = False

    def start(self) -> None:
        """Start the process, unless it is started; without this, `log` does."""
        if self._started:
            return
        self._started = True
        # The terminal's Ctrl-C is for the parent, which ends this process.
        how: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            how = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        how |= dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        try:
            self._process = subprocess.Popen([sys.executable, "-c", _START], **how)
        except OSError as error:
            self._said.append(str(error).encode())
            self._events.put(None)
            return
        for listen in (self._hear_events, self._hear_words):
            threading.Thread(target=listen, args=(self._process,), daemon=True).start()
        self._write(sys.path)
        self._write(self._uri)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            with contextlib.suppress(OSError):
                cast(IO[bytes], self._process.stdin).close()

    def log(
        self, folder: str, experiment: str | None = None, unfinished: Sequence[str] = (), *, timeout_s: float,
        registry_uri: str | None = None, annotate: bool = False,
    ) -> Logged:  # fmt: skip
        """Log a folder, as `sim.tracking.log.log` does, in `timeout_s` seconds. Raises `Late` when they are over.

        The versions in `registry_uri` (default: the store itself) then name the run, as `sim.tracking.lineage` says.
        """
        self.start()
        # The time that the process needs for its own start is no fault of the server.
        if self._events.get() is None:
            raise self._death()
        self._write([folder, experiment, list(unfinished), registry_uri, annotate])
        end = time.monotonic() + timeout_s
        progress, logged = None, None
        while True:
            try:
                event = self._events.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                if logged is not None:
                    return replace(logged, unmarked=f"the registry did not take it within the {timeout_s:g} s")
                raise Late(progress) from None
            if event is None:
                if logged is not None:
                    return replace(logged, unmarked=str(self._death()))
                raise self._death()
            ((what, value),) = event.items()
            if what == "progress":
                progress = Progress(**value)
            elif what == "logged":
                logged = Logged(**value)
            elif what == "marked" and logged is not None:
                return replace(logged, unmarked=value)
            elif what == "input":
                raise InputError(Problem(**problem) for problem in value)
            else:
                raise TrackingError(value)

    def _write(self, value: Any) -> None:
        # A process that has died already says so by its end.
        with contextlib.suppress(OSError):
            pipe = cast(IO[bytes], cast(subprocess.Popen[bytes], self._process).stdin)
            pipe.write(json.dumps(value).encode() + b"\n")
            pipe.flush()

    def _hear_events(self, process: subprocess.Popen[bytes]) -> None:
        with cast(IO[bytes], process.stdout) as pipe:
            for line in pipe:
                # A process that is ended may leave half a line.
                if line.endswith(b"\n"):
                    self._events.put(json.loads(line))
        process.wait()
        self._events.put(None)

    def _hear_words(self, process: subprocess.Popen[bytes]) -> None:
        with cast(IO[bytes], process.stderr) as pipe:
            self._said.extend(pipe)

    def _death(self) -> Exception:
        said = b"".join(self._said).decode(errors="replace").strip()
        if "Traceback (most recent call last)" in said:
            return RuntimeError(f"the process that logs to MLflow failed:\n{said}")
        code = self._process.returncode if self._process else None
        last = said.splitlines()[-1:] or [f"exit code {code}"]
        return TrackingError(f"the process that logs to MLflow ended before its work was done: {last[0]}")


class _TooLong(Exception):
    """An answer is longer than `LONGEST_ANSWER`."""


def main() -> None:
    """The process itself. Standard output is for events only: what a library prints there goes to standard error."""
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def tell(what: str, value: Any) -> None:
        events.write(json.dumps({what: value}).encode() + b"\n")

    uri = json.loads(sys.stdin.buffer.readline())
    _load(uri)
    tell("ready", True)
    request = sys.stdin.buffer.readline()
    if not request:
        return
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder, *asked = json.loads(request)
    tell(*_answer(Path(folder), uri, *asked, tell=tell))


def _load(uri: str) -> None:
    """Load the slow libraries, and let no answer be longer than `LONGEST_ANSWER`."""
    import requests

    # What takes long to load must not count as time of the server.
    of_store = () if uri.startswith("http") else ("mlflow.store.tracking.sqlalchemy_store",)
    for module in ("mlflow.tracking", *of_store, *_OWN):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    whole = requests.Response.iter_content

    def bounded(self: requests.Response, *given: Any, **named: Any) -> Iterator[Any]:
        size = 0
        for piece in whole(self, *given, **named):
            size += len(piece)
            if size > LONGEST_ANSWER:
                raise _TooLong
            yield piece

    requests.Response.iter_content = bounded  # type: ignore[method-assign]


def _answer(
    folder: Path, uri: str, experiment: str | None, unfinished: list[str], registry_uri: str | None, annotate: bool,
    *, tell: Callable[[str, Any], None],
) -> tuple[str, Any]:  # fmt: skip
    """The last event. Others are told before: how much is logged, and that the run is."""
    from sim.registry import store
    from sim.tracking.folder import read_folder
    from sim.tracking.log import log

    try:
        with store.reaching(uri):
            read = read_folder(folder)
            logged = log(read, uri, experiment, unfinished=unfinished, tell=lambda progress: tell("progress", asdict(progress)))
            tell("logged", asdict(logged))
            return "marked", _unmarked(read, logged, uri, registry_uri or uri, annotate)
    except InputError as error:
        return "input", [asdict(problem) for problem in error.problems]
    except Exception as error:
        if any(isinstance(each, _TooLong) for each in _chain(error)):
            what = f"an answer has more than {LONGEST_ANSWER >> 20} MB"
            return "failed", f"the MLflow store {store.shown(uri)} cannot be used: {what}"
        if isinstance(error, TrackingError):
            return "failed", str(error)
        raise


def _unmarked(folder: RunFolder, logged: Logged, uri: str, registry_uri: str, annotate: bool) -> str:
    """Have the versions name the run; why they do not, if they do not. The run is logged either way."""
    from sim.tracking.lineage import mark_versions

    try:
        mark_versions(folder, logged.run_id, uri, registry_uri, experiment_id=logged.experiment_id, annotate=annotate)
    except TrackingError as error:
        return str(error)
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it was made of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _end_with_parent() -> None:
    """Wait for the parent's end, which closes our standard input, and end with it."""
    sys.stdin.buffer.read()
    os._exit(1)
