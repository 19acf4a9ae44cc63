"""`sim models promote` and `history`: move an alias because of a rehearsal, and see and undo the moves."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from sim.cli.models.stores import reader
from sim.cli.models.table import table
from sim.cli.options import PLAIN, Verbs, add_stores
from sim.errors import EXIT_OK, InputError, Problem, visible

if TYPE_CHECKING:
    from sim.registry.moves import History, Move


def add(verbs: Verbs) -> None:
    promote = verbs.add_parser(
        "promote", help="move an alias to a version, because of a rehearsal that supports it, or lead it back",
        formatter_class=PLAIN,
        description="Move an alias to a version. It is refused where the rehearsal does not support it: docs/mlflow.md says\n"
        "when it does. Who moved it, when and why is kept with the model.",
        epilog="examples:\n  sim models promote models:/digits/2 --alias champion --because reports/quickstart-1a2b3c4d5e\n"
        "  sim models promote digits --alias champion --undo",
    )  # fmt: skip
    promote.add_argument("uri", help="models:/NAME/VERSION or models:/NAME@ALIAS; with --undo the model's name")
    promote.add_argument("--alias", required=True, help="the alias to move, such as champion")
    promote.add_argument("--because", metavar="RUN", help="the rehearsal: a run folder, or the id of its MLflow run")
    promote.add_argument("--force", action="store_true", help="move it though the rehearsal does not support it; this is kept")
    promote.add_argument("--undo", action="store_true", help="lead the alias back to where it was before its last move")
    add_stores(promote, logs=False)
    promote.set_defaults(verb=_promote)
    history = verbs.add_parser("history", help="the moves of a model's aliases: who, when, and because of which rehearsal")
    history.add_argument("name", help="the model's name")
    history.add_argument("--json", action="store_true", help="as JSON")
    add_stores(history, logs=False)
    history.set_defaults(verb=_history)


def _promote(options: argparse.Namespace) -> int:
    from sim.tracking import promote

    if options.undo:
        if options.because or options.force:
            given = "--because" if options.because else "--force"
            raise InputError([Problem("does not go with --undo, which needs no rehearsal", path=given)])
        done = promote.undo(options.uri, options.alias, reader(options))
        what = f"back at models:/{done.name}/{done.version}" if done.version else "removed, as it was before"
        print(visible(f"{done.name}@{done.alias} is {what} (takes move {done.move.undoes if done.move else ''} back)"))
        return EXIT_OK
    done = promote.promote(options.uri, options.alias, reader(options), because=options.because, force=options.force)
    if done.move is None:
        print(visible(f"{done.name}@{done.alias} is models:/{done.name}/{done.version} already; nothing was moved"))
        return EXIT_OK
    print(visible(f"{done.name}@{done.alias} is models:/{done.name}/{done.version} now{_before(done.move)}"))
    for reason in done.move.forced:
        print(visible(f"  in spite of: {reason}"))
    return EXIT_OK


def _before(move: Move) -> str:
    was = f", and was /{move.source}" if move.source else ""
    return f"{was}: {move.because}" if move.because else was


def _history(options: argparse.Namespace) -> int:
    from sim.registry.moves import history

    found = history(reader(options), options.name)
    if options.json:
        print(json.dumps({"aliases": dict(found.aliases), "moves": [asdict(move) for move in found.moves]}, indent=1))
        return EXIT_OK
    if found.moves:
        print(*table(["move", "alias", "from", "to", "when", "who", "why"], [_row(move) for move in found.moves]), sep="\n")
    else:
        print("no alias was moved by `sim models promote`")
    for line in _now(found):
        print(visible(line))
    return EXIT_OK


def _row(move: Move) -> list[str]:
    why = f"takes move {move.undoes} back" if move.undoes else str(move.because or "no rehearsal")
    forced = f"; forced in spite of: {'; '.join(move.forced)}" if move.forced else ""
    where = [f"/{version}" if version else "–" for version in (move.source, move.target)]
    return [str(move.number), move.alias, *where, move.at, move.who, why + forced]


def _now(found: History) -> list[str]:
    """Where each alias is, and what the moves do not tell of it."""
    lines = []
    for alias, version in sorted(found.aliases.items()):
        last = next((move for move in reversed(found.moves) if move.alias == alias), None)
        by_others = " (moved there by another tool)" if last is not None and last.target != version else ""
        lines.append(f"@{alias} is /{version}{by_others}")
    if found.damaged:
        lines.append(f"tags that hold no move, though they should: {', '.join(found.damaged)}")
    return lines
