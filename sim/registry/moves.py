"""Moves of aliases from version to version: one at a time, each kept with who made it, when and why, and led back by undo.

MLflow has no transactions. A move first puts up a flag, a tag with a name of its own, and then looks for the flags of others:
of two moves at once at least one sees the other, whatever the timing, and gives way. So at most one of them goes on.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sim.errors import InputError, Problem, TrackingError, visible
from sim.registry.store import reaching, user
from sim.registry.versions import registered

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

MOVE, FLAG, LAST = "sim.move.", "sim.moving.", "sim.last_move"
"""Tags of a registered model: each move, by number; the flag of a move that is going on. And of a version: the last move."""
FLAG_S = 120
"""Seconds after which the flag of a process that was killed counts no more."""
_TRIES, _PAUSE_S = 8, 0.2


@dataclass(frozen=True)
class Reason:
    """The rehearsal behind a move: its MLflow run or its folder, scenario, digest, the policy it takes, and what that does."""

    run: str
    name: str
    digest: str
    took: str | None
    ships: str

    def __str__(self) -> str:
        took = f": {self.took} ships it in {self.ships} of its trials" if self.took and self.ships else ""
        return f"rehearsal {self.name} ({self.run}){took}"


@dataclass(frozen=True)
class Move:
    """One move of an alias. `source` and `target` are versions; None where the alias was not there. `at` is ISO 8601.

    `forced` are the reasons against it, where it was made in spite of them; `undoes` is the number of the move it takes back.
    """

    number: int
    alias: str
    source: str | None
    target: str | None
    who: str
    at: str
    because: Reason | None = None
    forced: tuple[str, ...] = ()
    undoes: int | None = None

    def to_tag(self) -> str:
        """The tag's value."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_tag(cls, text: str) -> Move:
        """Reads what `to_tag` wrote. Raises `ValueError` for anything else.

        >>> because = Reason("f0", "checkout", "ab", "ab", "90%")
        >>> move = Move(1, "champion", "1", "2", "ann", "2026-01-01T00:00:00+00:00", because)
        >>> Move.from_tag(move.to_tag()) == move
        True
        """
        try:
            value = json.loads(text)
            because = value.get("because")
            versions = {name: None if value[name] is None else str(value[name]) for name in ("source", "target")}
            return cls(
                number=int(value["number"]), alias=str(value["alias"]), who=str(value["who"]), at=str(value["at"]), **versions,
                because=Reason(**because) if because else None, forced=tuple(map(str, value.get("forced", ()))),
                undoes=None if value.get("undoes") is None else int(value["undoes"]),
            )  # fmt: skip
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"a move has {error} wrong or missing") from error


@dataclass(frozen=True)
class History:
    """The moves of a model's aliases, oldest first; the aliases as they are; and tags that should hold a move and do not."""

    moves: tuple[Move, ...]
    aliases: Mapping[str, str]
    damaged: tuple[str, ...] = ()

    def standing(self, alias: str) -> list[Move]:
        """The moves that led to where the alias is, oldest first: those taken back, and those passed by other tools, are out.

        >>> moves = [Move(1, "a", None, "1", "", ""), Move(2, "a", "1", "2", "", ""), Move(3, "a", "2", "1", "", "", undoes=2)]
        >>> [move.number for move in History(tuple(moves), {"a": "1"}).standing("a")]
        [1]
        """
        standing: list[Move] = []
        for move in self.moves:
            if move.alias != alias:
                continue
            _unwind(standing, move.source)
            if move.undoes is None:
                standing.append(move)
            elif standing and standing[-1].number == move.undoes:
                standing.pop()
        _unwind(standing, self.aliases.get(alias))
        return standing


def _unwind(standing: list[Move], at: str | None) -> None:
    while standing and standing[-1].target != at:
        standing.pop()


def history(client: MlflowClient, name: str) -> History:
    """The moves of a model's aliases. Raises `InputError` where there is no such model, `TrackingError` if the store fails."""
    return _history(registered(name, client))


def _history(model: RegisteredModel) -> History:
    moves, damaged = [], []
    for key, text in sorted(model.tags.items()):
        if key.startswith(MOVE):
            try:
                moves.append(Move.from_tag(text))
            except ValueError:
                damaged.append(key)
    aliases = {alias: str(version) for alias, version in model.aliases.items()}
    return History(tuple(sorted(moves, key=lambda move: move.number)), aliases, tuple(damaged))


def promote(
    client: MlflowClient, name: str, alias: str, target: str, *, seen: str | None, because: Reason | None,
    forced: Sequence[str] = (),
) -> Move:  # fmt: skip
    """Move an alias to a version, from the one that it pointed to when the caller looked (`seen`; None without).

    Raises `InputError` where somebody moves the model's aliases at the same time, or has moved this one since; then nothing is
    changed. Raises `TrackingError` if the store fails.
    """
    with reaching(client), _alone(client, name) as model:
        past = _history(model)
        _unmoved(name, alias, seen, past)
        return _made(client, name, _next(past, alias, seen, target, because, tuple(forced)))


def undo(client: MlflowClient, name: str, alias: str) -> Move:
    """Lead an alias back to where it was before the last move that stands. Raises as `promote`, and without such a move."""
    before = history(client, name)
    with reaching(client), _alone(client, name) as model:
        past = _history(model)
        _unmoved(name, alias, before.aliases.get(alias), past)
        standing = past.standing(alias)
        if not standing:
            now = past.aliases.get(alias)
            where = f"it points to version {now}, where no `sim models promote` led it" if now else "there is no such alias"
            raise InputError([Problem(f"nothing to undo for the alias {alias!r} of {name!r}: {where}", path="--undo")])
        last = standing[-1]
        return _made(client, name, _next(past, alias, last.target, last.source, None, (), last.number))


def _next(
    past: History, alias: str, source: str | None, target: str | None, because: Reason | None, forced: tuple[str, ...],
    undoes: int | None = None,
) -> Move:  # fmt: skip
    numbers = [move.number for move in past.moves] + [int(key.removeprefix(MOVE)) for key in past.damaged if key[-4:].isdigit()]
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Move(max(numbers, default=0) + 1, alias, source, target, user() or "unknown", at, because, forced, undoes)


def _unmoved(name: str, alias: str, seen: str | None, past: History) -> None:
    now = past.aliases.get(alias)
    if now == seen:
        return
    by = next((move for move in reversed(past.moves) if move.alias == alias and move.target == now), None)
    whose = f" by {by.who} at {by.at}" if by else ""
    was, where = (f"version {seen}" if seen else "nowhere"), (f"version {now}" if now else "removed")
    message = f"the alias {alias!r} of {name!r} was moved meanwhile{whose}: it pointed to {was}, and is now at {where}"
    raise InputError([Problem(f"{message}; see `sim models history {name}`, and decide anew", path="--alias")])


def _made(client: MlflowClient, name: str, move: Move) -> Move:
    """Make a move: its record first, so that no move goes unrecorded; a record without its move is seen by the alias."""
    client.set_registered_model_tag(name, f"{MOVE}{move.number:04d}", move.to_tag())
    if move.target is None:
        client.delete_registered_model_alias(name, move.alias)
    else:
        client.set_registered_model_alias(name, move.alias, move.target)
    now = client.get_registered_model(name).aliases.get(move.alias)
    if (None if now is None else str(now)) != move.target:
        raise TrackingError(
            f"the alias {move.alias!r} of {name!r} was moved to version {now} by another tool in the same moment: "
            f"see `sim models history {name}`"
        )
    why = f"takes move {move.undoes} back" if move.undoes else str(move.because or "no rehearsal")
    for version, word in ((move.target, "came here"), (move.source, "left")):
        if version is not None:
            text = f"alias {move.alias} {word} {move.at} by {move.who}: {why}{'; forced' if move.forced else ''}"
            client.set_model_version_tag(name, version, LAST, text[:1000])
    return move


@contextmanager
def _alone(client: MlflowClient, name: str) -> Iterator[RegisteredModel]:
    """The registered model, while no other process of this program moves its aliases.

    Raises `InputError` where another does, and goes on doing it.
    """
    from mlflow.exceptions import MlflowException

    for attempt in range(_TRIES):
        mine = FLAG + secrets.token_hex(8)
        now = datetime.now(UTC)
        client.set_registered_model_tag(
            name, mine, json.dumps({"who": user() or "unknown", "at": now.isoformat(timespec="seconds")})
        )
        try:
            model = client.get_registered_model(name)
            others = [text for key, text in model.tags.items() if key.startswith(FLAG) and key != mine and _up(text, now)]
            if not others:
                yield model
                return
        finally:
            with suppress(MlflowException):
                client.delete_registered_model_tag(name, mine)
        # Two that gave way to each other must not meet again.
        time.sleep(random.uniform(0, _PAUSE_S * (attempt + 1)))
    who = visible(str(_flag(others[0]).get("who", "somebody")))
    message = f"{who} is moving an alias of {name!r} (since {_flag(others[0]).get('at')}): try again when that is done"
    raise InputError([Problem(f"{message}; a process that was killed is in the way for {FLAG_S} s at most", path="--alias")])


def _flag(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _up(text: str, now: datetime) -> bool:
    """Whether a flag counts: not one that cannot be read, nor one of a process that was killed."""
    try:
        return datetime.fromisoformat(str(_flag(text)["at"])) > now - timedelta(seconds=FLAG_S)
    except (KeyError, ValueError, TypeError):
        return False
