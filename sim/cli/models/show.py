"""`sim models list` and `show`: which versions there are, and all that is known of one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sim.cli.models.measure import told_of
from sim.cli.models.stores import reader
from sim.cli.models.table import facts, table
from sim.cli.options import Verbs, add_stores
from sim.errors import EXIT_OK

if TYPE_CHECKING:
    from sim.registry.about import About
    from sim.registry.rehearsals import Rehearsed
    from sim.registry.scores import Bounds, Score

# Tags that are told in words of their own.
_TOLD = ("sim.rehearsed.", "sim.offline.", "sim.latency", "sim.error_rate", "sim.measured", "sim.served", "sim.behaviour")
_MOST_COLUMNS = 12


def add(verbs: Verbs) -> None:
    listing = verbs.add_parser(
        "list", help="the versions in the registry: aliases, kind, scores, whether measured and rehearsed"
    )
    listing.add_argument("name", nargs="?", help="a model's name (default: all models)")
    listing.add_argument("--json", action="store_true", help="as JSON")
    add_stores(listing, logs=False)
    listing.set_defaults(verb=_list)
    show = verbs.add_parser("show", help="all that is known of a version: origin, data, scores, latency, rehearsals")
    show.add_argument("uri", help="models:/NAME@ALIAS or models:/NAME/VERSION")
    show.add_argument("--json", action="store_true", help="as JSON")
    add_stores(show, logs=False)
    show.set_defaults(verb=_show)


def _list(options: argparse.Namespace) -> int:
    from sim.registry.about import rows

    found = rows(reader(options), options.name)
    if options.json:
        print(json.dumps([row.to_dict() for row in found], indent=1))
        return EXIT_OK
    heads = ["version", "aliases", "kind", "created", "offline", "measured", "rehearsals", "status"]
    lines = [
        [
            f"models:/{row.name}/{row.version}", " ".join(row.aliases) or "–", row.kind, row.created,
            ", ".join(f"{metric} {value:.4g}" for metric, value in row.scores.items()) or "–",
            "stated" if row.kind == "behaviour" else "yes" if row.measured else "no", str(row.rehearsals), row.status.lower(),
        ]
        for row in found
    ]  # fmt: skip
    print(*(table(heads, lines) if lines else ["no versions"]), sep="\n")
    return EXIT_OK


def _show(options: argparse.Namespace) -> int:
    from sim.registry.about import about

    found = about(options.uri, reader(options))
    if options.json:
        print(json.dumps(found.to_dict(), indent=1, default=str))
        return EXIT_OK
    print(*_lines(found), sep="\n")
    return EXIT_OK


def _lines(found: About) -> Iterator[str]:
    yield from facts(
        [
            (found.uri, " ".join(f"@{alias}" for alias in found.aliases) or "no alias"),
            ("kind", found.kind + (f" ({', '.join(found.flavors)})" if found.kind == "real" and found.flavors else "")),
            ("created", f"{found.created}{'' if found.status == 'READY' else f', {found.status}'}"),
            ("made by", _origin(found)),
            ("of data", "\n".join(_data(found))),
            ("description", _description(found.description)),
            ("behaviour", json.dumps(found.behaviour, ensure_ascii=False) if found.behaviour else ""),
            ("signature", "\n".join(_signature(found))),
            ("latency", _latency(found)),
            ("server", "\n".join(told_of(found.served)) if found.served else ""),
            ("stated scores", "\n".join(f"{name}: {value}" for name, value in found.stated_scores.items())),
            ("tags", "\n".join(_tags(found))),
            ("damaged tags", ", ".join(found.damaged)),
        ]
    )  # fmt: skip
    if found.scores:
        heads = ["offline score", "method", "estimate", "95% intervals", "data", "rows", "seed", "when", "run"]
        yield ""
        yield from table(heads, [_score(score) for score in found.scores])
    if found.rehearsals:
        yield ""
        yield from table(
            ["rehearsal", "ended", "as", "against", "takes", "policy", "ships this", "keeps", "MLflow run"],
            [row for each in found.rehearsals for row in _rehearsal(each)],
        )


def _origin(found: About) -> str:
    origin = found.origin
    if origin is None:
        return "no run"
    if not origin.found:
        return f"run {origin.run}, which this tracking store does not have"
    by = f" by {origin.user}" if origin.user else ""
    source = f" from {origin.source}" if origin.source else ""
    return f"run {origin.run} ({origin.name}) of {origin.experiment}, {origin.started}{by}{source}"


def _description(text: str) -> str:
    from sim.registry.annotation import by_people

    own = by_people(text).strip()
    memo = "(the memo of its last rehearsal stands there too)" if by_people(text) != text else ""
    return "\n".join(part for part in (own, memo) if part)


def _data(found: About) -> Iterator[str]:
    for each in found.data:
        rows = f", {each.rows:,} rows" if each.rows is not None else ""
        yield f"{each.name or 'unnamed'} ({each.context or 'input'}): digest {each.digest[:32]}{rows}"
    if not found.data:
        yield "not logged"


def _signature(found: About) -> Iterator[str]:
    if found.signature is None:
        yield "none"
        return
    for part, columns in found.signature.items():
        more = f", … {len(columns) - _MOST_COLUMNS} more" if len(columns) > _MOST_COLUMNS else ""
        yield f"{part}: {', '.join(columns[:_MOST_COLUMNS])}{more}"


def _latency(found: About) -> str:
    profile = found.latency
    if profile is None:
        return "" if found.kind == "behaviour" else "not measured: `sim models measure` does it"
    shares = dict(zip(profile.levels, profile.values_s, strict=True))
    shown = ", ".join(f"p{level * 100:g} {1000 * shares[level]:.3g} ms" for level in (0.5, 0.9, 0.99) if level in shares)
    return f"{shown}; errors {profile.error_rate:.2%}; {profile.calls} calls, measured {profile.measured}"


def _score(score: Score) -> list[str]:
    method = f"{score.folds}-fold" if score.folds else score.method
    intervals = "; ".join(bounds(each) for each in score.intervals)
    return [
        score.metric, method, f"{score.estimate:.4g}", intervals, f"{score.data} {score.digest[:10]}", f"{score.rows:,}",
        str(score.seed), score.at, score.run,
    ]  # fmt: skip


def bounds(found: Bounds) -> str:
    """An interval in words, such as BCa 0.91–0.95."""
    if found.lower is None or found.upper is None:
        return f"{found.how}: none ({found.note})"
    note = f" ({found.note})" if found.note else ""
    return f"{found.how} {found.lower:.4g} to {found.upper:.4g}{note}"


def _rehearsal(each: Rehearsed) -> Iterator[list[str]]:
    """The rows of one rehearsal: the first names it."""
    what = f"{each.name}{'' if each.status == 'finished' else f' ({each.status})'}"
    first = [what, each.at[:16], each.arm, f"/{each.champion.rpartition('/')[2]}", each.took or "none"]
    if each.points:
        first[4] = f"at {len(each.points)} points"
        rows = [[f"{took or 'none'} at {label}", "", ""] for label, took in each.points]
    else:
        rows = [[name, _share(shares.ships), _share(shares.keeps)] for name, shares in each.policies.items()]
    if each.left_out:
        rows.append([f"… {each.left_out} more policies", "", ""])
    for at, row in enumerate(rows or [["", "", ""]]):
        yield [*(first if at == 0 else [""] * len(first)), *row, each.run if at == 0 else ""]


def _share(three: tuple[float | None, float | None, float | None]) -> str:
    estimate, lower, upper = three
    if estimate is None or lower is None or upper is None:
        return "–"
    return f"{100 * estimate:.3g}% ({100 * lower:.3g}–{100 * upper:.3g}%)"


def _tags(found: About) -> Iterator[str]:
    for key, value in sorted(found.tags.items()):
        if not key.startswith(_TOLD):
            yield f"{key}: {_short(value)}"


def _short(value: str) -> str:
    return value if len(value) <= 100 else f"{value[:99]}…"
