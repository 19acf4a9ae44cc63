"""Aliases are moved one at a time, every move is kept, and undo leads back."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from mlflow import MlflowClient

from sim.errors import InputError
from sim.registry import moves
from sim.registry.behaviour import ModelsFile
from sim.registry.moves import FLAG, History, Move, Reason
from sim.registry.register import register
from sim.registry.store import client as open_client

BECAUSE = Reason("f0", "checkout", "ab12", "ab", "90% (85–94%)")


def versions(registry: MlflowClient, name: str, count: int = 3) -> str:
    """A model with so many versions, the first of them the champion."""
    rates = [round(0.05 + at / 1000, 3) for at in range(count)]
    specs = [{"outcomes": {"sale": {"bernoulli": rate}}, "latency": {"constant": "45ms"}} for rate in rates]
    specs[0]["alias"] = "champion"
    register(ModelsFile.model_validate({"model": name, "versions": specs}), registry)
    return name


def champion(registry: MlflowClient, name: str) -> str | None:
    version = registry.get_registered_model(name).aliases.get("champion")
    return None if version is None else str(version)


def test_a_move_is_kept_with_who_when_and_why(registry: MlflowClient) -> None:
    name = versions(registry, "moved")
    move = moves.promote(registry, name, "champion", "2", seen="1", because=BECAUSE)
    assert champion(registry, name) == "2"
    past = moves.history(registry, name)
    assert past.moves == (move,)
    assert (move.source, move.target, move.because, move.forced) == ("1", "2", BECAUSE, ())
    assert datetime.fromisoformat(move.at) > datetime.now(UTC) - timedelta(minutes=5)
    for version, word in (("2", "came here"), ("1", "left")):
        last = registry.get_model_version(name, version).tags["sim.last_move"]
        assert last.startswith(f"alias champion {word}")
        assert "rehearsal checkout (f0)" in last
    assert not [key for key in registry.get_registered_model(name).tags if key.startswith(FLAG)]


def test_undo_goes_back_move_by_move_and_no_further(registry: MlflowClient) -> None:
    name = versions(registry, "undone")
    moves.promote(registry, name, "champion", "2", seen="1", because=BECAUSE)
    moves.promote(registry, name, "champion", "3", seen="2", because=None, forced=("no rehearsal was named",))
    assert [moves.undo(registry, name, "champion").target, champion(registry, name)] == ["2", "2"]
    assert [moves.undo(registry, name, "champion").target, champion(registry, name)] == ["1", "1"]
    with pytest.raises(InputError, match="nothing to undo for the alias 'champion'"):
        moves.undo(registry, name, "champion")
    assert champion(registry, name) == "1"
    assert [move.undoes for move in moves.history(registry, name).moves] == [None, None, 2, 1]


def test_undo_takes_away_an_alias_that_was_not_there_before(registry: MlflowClient) -> None:
    name = versions(registry, "first")
    moves.promote(registry, name, "next", "2", seen=None, because=BECAUSE)
    assert moves.undo(registry, name, "next").target is None
    assert "next" not in registry.get_registered_model(name).aliases


def test_undo_does_not_take_back_what_another_tool_moved(registry: MlflowClient) -> None:
    name = versions(registry, "others")
    moves.promote(registry, name, "champion", "2", seen="1", because=BECAUSE)
    registry.set_registered_model_alias(name, "champion", "3")
    with pytest.raises(InputError, match="it points to version 3, where no `sim models promote` led it"):
        moves.undo(registry, name, "champion")
    moves.promote(registry, name, "champion", "1", seen="3", because=BECAUSE)
    assert moves.undo(registry, name, "champion").target == "3"


def test_a_record_whose_move_was_not_made_stands_for_nothing() -> None:
    """A process that is killed between the two writes leaves the record alone."""
    killed = Move(2, "a", "2", "3", "ann", "")
    made = (Move(1, "a", "1", "2", "ann", ""), killed)
    assert History(made, {"a": "2"}).standing("a") == [made[0]]
    after = Move(3, "a", "2", "4", "ann", "")
    assert History((*made, after), {"a": "4"}).standing("a") == [made[0], after]


def test_an_alias_that_moved_since_the_caller_looked_is_told(registry: MlflowClient) -> None:
    name = versions(registry, "since")
    moves.promote(registry, name, "champion", "2", seen="1", because=BECAUSE)
    with pytest.raises(InputError, match=r"was moved meanwhile by .*: it pointed to version 1, and is now at version 2"):
        moves.promote(registry, name, "champion", "3", seen="1", because=BECAUSE)
    assert champion(registry, name) == "2"
    assert len(moves.history(registry, name).moves) == 1


def test_of_several_at_once_one_moves_and_the_others_are_told(registry: MlflowClient) -> None:
    name = versions(registry, "at-once", 5)
    start = threading.Barrier(4)
    ends: dict[str, str] = {}

    def move(target: str) -> None:
        own = open_client(registry.tracking_uri)
        start.wait()
        try:
            moves.promote(own, name, "champion", target, seen="1", because=BECAUSE)
            ends[target] = "moved"
        except InputError as error:
            ends[target] = str(error)

    threads = [threading.Thread(target=move, args=(target,)) for target in ("2", "3", "4", "5")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (moved,) = [target for target, end in ends.items() if end == "moved"]
    assert champion(registry, name) == moved
    assert [each.target for each in moves.history(registry, name).moves] == [moved]
    told = [end for end in ends.values() if end != "moved"]
    assert len(told) == 3
    assert all("was moved meanwhile" in end or "is moving an alias" in end for end in told)


@pytest.mark.parametrize(("age_s", "in_the_way"), [(5, True), (600, False)])
def test_the_flag_of_a_killed_process_is_in_the_way_for_two_minutes(
    registry: MlflowClient, monkeypatch: pytest.MonkeyPatch, age_s: int, in_the_way: bool
) -> None:
    monkeypatch.setattr(moves, "_TRIES", 2)
    name = versions(registry, f"killed-{age_s}")
    at = (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat()
    registry.set_registered_model_tag(name, f"{FLAG}dead", json.dumps({"who": "bob", "at": at}))
    if in_the_way:
        with pytest.raises(InputError, match="bob is moving an alias of 'killed-5'"):
            moves.promote(registry, name, "champion", "2", seen="1", because=BECAUSE)
        assert champion(registry, name) == "1"
        assert [key for key in registry.get_registered_model(name).tags if key.startswith(FLAG)] == [f"{FLAG}dead"]
    else:
        moves.promote(registry, name, "champion", "2", seen="1", because=BECAUSE)
        assert champion(registry, name) == "2"


def test_an_edited_record_is_named_and_its_number_is_not_used_again(registry: MlflowClient) -> None:
    name = versions(registry, "edited")
    registry.set_registered_model_tag(name, "sim.move.0001", "{")
    assert moves.history(registry, name).damaged == ("sim.move.0001",)
    assert moves.promote(registry, name, "champion", "2", seen="1", because=BECAUSE).number == 2
