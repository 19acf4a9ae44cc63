"""What is sent to workers on other machines, and what such a worker does with it."""

from __future__ import annotations

import hashlib
import pickle
import platform
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from os import getpid
from typing import TypeAlias

from sim.policy.catalogue import hold, parts_in
from sim.policy.parts_file import PartsFile, file_of
from sim.run.blocks import Player, Task, Work
from sim.run.checkpoints import played_by
from sim.run.trial import Play
from sim.version import VERSION

Program: TypeAlias = tuple[tuple[str, str], ...]
"""The versions of all that decides the bits of a trial, each with its name."""

# Worlds that a process keeps. A search plays one world after another, and none again.
_MOST_KEPT = 2


@dataclass(frozen=True)
class Parcel:
    """The works of a run in one piece: it is sent to a worker once, and tasks name it by its digest.

    Parts of the user's own travel as the text of their files, so that workers need none of these files, and no registry.
    """

    digest: str
    content: bytes

    @classmethod
    def of(cls, works: Sequence[Work]) -> Parcel:
        """The parcel of some works."""
        files = tuple(dict.fromkeys(file for work in works for part in parts_in(work.forms) if (file := file_of(part))))
        # A worker must load the classes of parts before it unpickles objects of these classes.
        content = pickle.dumps((files, pickle.dumps(list(works))))
        return cls(hashlib.sha256(content).hexdigest(), content)


@dataclass(frozen=True)
class Missing:
    """The answer of a worker that has not got the parcel yet."""


@dataclass(frozen=True)
class Other:
    """The answer of a worker that runs another program, so that its bits could be others: its name, and how it differs."""

    worker: str
    differs: str


@dataclass(frozen=True)
class Unloaded:
    """The answer of a worker that cannot load the parcel, as a package is missing there."""

    worker: str
    reason: str


Answer: TypeAlias = list[tuple[Play, float]] | Missing | Other | Unloaded
"""The result of each task and its seconds, or why there is none."""


@cache
def program() -> Program:
    """The program that this process runs: workers must run the same one.

    >>> [name for name, _ in program()]
    ['rollout-sim', 'its sources', 'Python', 'numpy', 'scipy', 'numba']
    """
    own = ("rollout-sim", VERSION), ("its sources", played_by()[:12]), ("Python", ".".join(platform.python_version_tuple()[:2]))
    return *own, *((name, metadata.version(name)) for name in ("numpy", "scipy", "numba"))


def differences(theirs: Program, ours: Program) -> str:
    """How a worker's program differs from this one, in words; empty where it does not.

    >>> differences((("rollout-sim", "0.2"), ("numpy", "2.4")), (("rollout-sim", "0.1"), ("numpy", "2.4")))
    'rollout-sim 0.2, not 0.1'
    """
    here = dict(ours)
    return ", ".join(f"{name} {version}, not {here.get(name, 'none')}" for name, version in theirs if here.get(name) != version)


def answer(ours: Program, digest: str, content: bytes | None, tasks: Sequence[Task]) -> Answer:
    """Play some tasks of the parcel of a digest, in a worker. `ours` is the program of the process that asks.

    Without its `content`, the parcel must be one that this process was sent before.
    """
    differs = differences(program(), ours)
    if differs:
        return Other(_own_name(), differs)
    player = _players.of.get(digest) if hasattr(_players, "of") else None
    if player is None:
        content = _kept(digest, content)
        if content is None:
            return Missing()
        try:
            player = _opened(content)
        except (ImportError, AttributeError) as error:
            return Unloaded(_own_name(), str(error))
        # Each thread plays by itself: a player keeps the truth of the block that it plays.
        _players.of = {digest: player}
    results = []
    for task in tasks:
        started = time.monotonic()
        results.append((player.play(task), time.monotonic() - started))
    return results


def _own_name() -> str:
    return f"process {getpid()} on {socket.gethostname()}"


_players = threading.local()
_contents: dict[str, bytes] = {}
_opening = threading.Lock()


def _kept(digest: str, content: bytes | None) -> bytes | None:
    """The content of a parcel, which this process keeps for its other threads and later tasks."""
    with _opening:
        if content is not None:
            _contents[digest] = content
            while len(_contents) > _MOST_KEPT:
                del _contents[next(iter(_contents))]
        return _contents.get(digest)


def _opened(content: bytes) -> Player:
    # Modules of parts are made once for all threads.
    with _opening:
        files: tuple[PartsFile, ...]
        files, pickled = pickle.loads(content)
        for file in files:
            file.load()
        works: list[Work] = pickle.loads(pickled)
        for work in works:
            for part in parts_in(work.forms):
                hold(part)
        return Player(works)
