"""A process of its own that logs a folder, so that no server can keep the command waiting: it is ended when its time is over.

Whatever a server or a driver does (a byte a second, a connection that never answers), waiting for another process always ends.
The process also ends with its parent. It reads requests from its standard input, and writes events, each a line of JSON. As it
has to load MLflow, which takes long, it also looks versions up: a run of behaviour models loads MLflow nowhere else.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import os
import pickle
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

from sim.errors import InputError, Problem, SimError, TrackingError

if TYPE_CHECKING:
    from sim.registry.versions import Version
    from sim.tracking.folder import RunFolder
    from sim.tracking.log import Logged, Progress

LONGEST_ANSWER = 64 * 2**20
"""Bytes. The longest answer of a server that is read."""

_START = "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); from sim.tracking.child import main; main()"


# What it needs of this program: it is loaded with the libraries, while others still write the report.
_OWN = (
    "sim.tracking.log", "sim.tracking.folder", "sim.tracking.lineage", "sim.scenario.loading", "sim.compare.trials",
    "pyarrow.parquet", "scipy.special",
)  # fmt: skip


def loaded() -> bool:
    """Whether this process has MLflow already, and another one would only load it once more."""
    return "mlflow" in sys.modules


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
        self._process: subprocess.Popen[bytes] | None = None
        self._reset()

    def _reset(self) -> None:
        # Of its own process each: what one that was stopped still says must not be taken for an answer of the next.
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._said: deque[bytes] = deque(maxlen=100)
        self._started = self._ready = self._draws = False

    def start(self) -> None:
        """Start the process, unless it is started; without this, `log` does."""
        if self._started:
            return
        self._started = True
        # The terminal's Ctrl-C is for the parent, which ends this process.
        how: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            how = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        # With -P no file of the current folder can stand in for a library.
        how |= dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        try:
            self._process = subprocess.Popen([sys.executable, "-P", "-c", _START], **how)
        except OSError as error:
            self._said.append(str(error).encode())
            self._events.put(None)
            return
        for listen, into in ((_hear_events, self._events), (_hear_words, self._said)):
            threading.Thread(target=listen, args=(self._process, into), daemon=True).start()
        self._write(sys.path)
        self._write(self._uri)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process, if there is one. It can be started again."""
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            with contextlib.suppress(OSError):
                cast(IO[bytes], self._process.stdin).close()
            self._process = None
        self._reset()

    def versions(
        self,
        models: Sequence[tuple[str, str]],
        tracking_uri: str | None,
        registry_uri: str | None,
        meanwhile: Sequence[str] = (),
    ) -> list[Version] | None:
        """What `sim.registry.versions.resolve` makes of models in the registry that `sim.registry.store.registry` finds.

        None where this process has to ask by itself: some version is a real one, whose code it is to run, or the other process
        is gone. The modules `meanwhile` are loaded while it works. Raises `InputError` and `TrackingError` as these do.
        """
        self.start()
        self._write(["versions", list(models), tracking_uri, registry_uri])
        for module in meanwhile:
            importlib.import_module(module)
        if not self._is_ready() or (event := self._events.get()) is None:
            return None
        # Of a process of our own.
        found: list[Version] | SimError | None = pickle.loads(base64.b64decode(event["versions"]))
        if isinstance(found, SimError):
            raise found
        return found

    def prepare_to_draw(self) -> None:
        """Have the process load what draws, if it is there and has answered before: else it would be waited for."""
        if self._ready and not self._draws:
            self._draws = True
            self._write(["prepare"])

    @property
    def draws(self) -> bool:
        """Whether the process was asked to load what draws."""
        return self._draws

    def draw(self, folder: Path, into: Path) -> None:
        """Have the process draw what `sim.report.beside.drawings` makes."""
        self._write(["draw", str(folder), str(into)])

    def drawn(self, timeout_s: float) -> tuple[list[str], bytes] | None:
        """What it has drawn, waited for; None if that went wrong. A process that takes too long is ended."""
        try:
            event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            event = None
        if event is None:
            self.stop()
            return None
        if event["drawn"] is None:
            return None
        sections, picture = event["drawn"]
        return sections, base64.b64decode(picture)

    def _is_ready(self) -> bool:
        """Wait until the process has loaded what it needs; false if it ended."""
        if not self._ready:
            self._ready = self._events.get() is not None
        return self._ready

    def log(
        self, folder: str, experiment: str | None = None, unfinished: Sequence[str] = (), *, timeout_s: float,
        registry_uri: str | None = None, annotate: bool = False,
    ) -> Logged:  # fmt: skip
        """Log a folder, as `sim.tracking.log.log` does, in `timeout_s` seconds. Raises `Late` when they are over.

        The versions in `registry_uri` (default: the store itself) then name the run, as `sim.tracking.lineage` says.
        """
        from sim.tracking.log import Logged, Progress

        self.start()
        # The time that the process needs for its own start is no fault of the server.
        if not self._is_ready():
            raise self._death()
        self._write(["log", folder, experiment, list(unfinished), registry_uri, annotate])
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
            if what == "drawn":
                # Asked for, and not waited for.
                continue
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

    def _death(self) -> Exception:
        said = b"".join(self._said).decode(errors="replace").strip()
        if "Traceback (most recent call last)" in said:
            return RuntimeError(f"the process that logs to MLflow failed:\n{said}")
        code = self._process.returncode if self._process else None
        last = said.splitlines()[-1:] or [f"exit code {code}"]
        return TrackingError(f"the process that logs to MLflow ended before its work was done: {last[0]}")


def _hear_events(process: subprocess.Popen[bytes], events: queue.Queue[dict[str, Any] | None]) -> None:
    with cast(IO[bytes], process.stdout) as pipe:
        for line in pipe:
            # A process that is ended may leave half a line.
            if line.endswith(b"\n"):
                events.put(json.loads(line))
    process.wait()
    events.put(None)


def _hear_words(process: subprocess.Popen[bytes], words: deque[bytes]) -> None:
    with cast(IO[bytes], process.stderr) as pipe:
        words.extend(pipe)


class _TooLong(Exception):
    """An answer is longer than `LONGEST_ANSWER`."""


def main() -> None:
    """The process itself. Standard output is for events only: what a library prints there goes to standard error."""
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def tell(what: str, value: Any) -> None:
        events.write(json.dumps({what: value}).encode() + b"\n")

    requests: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_hear_requests, args=(requests,), daemon=True).start()
    uri = json.loads(requests.get())
    _load(uri)
    tell("ready", True)
    while True:
        answer(uri, json.loads(requests.get()), tell)


def answer(uri: str, asked: Sequence[Any], tell: Callable[[str, Any], None]) -> None:
    """Do what is asked, and tell what comes of it."""
    what, *given = asked
    if what == "prepare":
        _prepare()
    elif what == "draw":
        tell("drawn", _drawn(*map(Path, given)))
    elif what == "versions":
        tell(what, base64.b64encode(pickle.dumps(_found(*given))).decode())
    else:
        folder, *how = given
        tell(*_logged(Path(folder), uri, *how, tell=tell))


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


def _prepare() -> None:
    from sim.report.beside import load

    load()


def _drawn(folder: Path, into: Path) -> tuple[list[str], str] | None:
    """What is drawn for the parent, or None where that fails: the parent then draws it itself, and tells what is wrong."""
    from sim.report.beside import drawings

    try:
        sections, picture = drawings(folder, into)
    except Exception:
        return None
    return sections, base64.b64encode(picture).decode()


def _logged(
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


def _found(models: list[list[str]], tracking_uri: str | None, registry_uri: str | None) -> list[Version] | SimError | None:
    """The versions, or what is wrong; None where they cannot be told without running a model."""
    from sim.registry import store
    from sim.registry.versions import resolve

    try:
        versions = resolve([(arm, uri) for arm, uri in models], store.registry(tracking_uri, registry_uri))
    except SimError as error:
        return error
    return None if any(version.kind == "replay" for version in versions) else versions


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


def _hear_requests(requests: queue.Queue[bytes]) -> None:
    """Listen until the parent ends, which closes our standard input, and end with it."""
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(1)
