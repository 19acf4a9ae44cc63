"""The known words nearest to a misspelt word, for "did you mean"."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 80
_MOST = 3


def closest(word: object, words: Iterable[str]) -> tuple[str, ...]:
    """The words that `word` is most likely a misspelling of, in their order. All equally near words, or none if over three.

    A word is near within one edit per three letters (rounded, at least one edit). Case, ``_`` and ``-`` do not count.
    If no word is near: the words that begin or end with `word`, or that `word` begins or ends with; the shorter has at least
    three letters. The distance counts a letter left out, added, replaced, or swapped with its neighbour (Damerau, CACM 7
    (1964) 171, as "optimal string alignment": no letter is edited twice).

    >>> closest("rates", ["rate", "trace", "arrivals"]), closest("mx", ["min", "max", "trip"])
    (('rate',), ('max',))
    >>> closest("mox", ["mix", "max"]), closest("repl", ["replications", "seed"]), closest("zebra", ["min", "max"])
    (('mix', 'max'), ('replications',), ())
    """
    typed = _plain(str(word)[:_LONGEST])
    if not typed:
        return ()
    known = list(dict.fromkeys(words))
    edits = {name: _distance(typed, _plain(name)) for name in known}
    near = {name: count for name, count in edits.items() if count <= max(1, (max(len(typed), len(_plain(name))) + 1) // 3)}
    # One edit in a word of two letters keeps only one letter: too little to be a misspelling.
    near = {name: count for name, count in near.items() if count < len(_plain(name)) or count == 0}
    if near:
        best = tuple(name for name, count in near.items() if count == min(near.values()))
        return best if len(best) <= _MOST else ()
    shared = tuple(name for name in known if _shares_an_end(typed, _plain(name)))
    return shared if len(shared) <= _MOST else ()


def did_you_mean(word: object, words: Iterable[str], *, quoted: bool = True) -> str:
    """The question "did you mean …?" for the end of a message; empty if no word is near.

    >>> did_you_mean("rat", ["rate", "trace"])
    "did you mean 'rate'?"
    """
    near = closest(word, words)
    return f"did you mean {' or '.join(repr(name) if quoted else name for name in near)}?" if near else ""


def there_are(words: Iterable[str]) -> str:
    """The known words, for the end of a message.

    >>> there_are(["conv", "revenue"]), there_are(["conv"]), there_are([])
    ('there are conv, revenue', 'there is conv', 'there is none')
    """
    known = list(words)
    return f"there {'are' if len(known) > 1 else 'is'} {', '.join(known) or 'none'}"


def _plain(word: str) -> str:
    return word.strip().lower().replace("_", "").replace("-", "")


def _shares_an_end(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return len(shorter) >= 3 and (longer.startswith(shorter) or longer.endswith(shorter))


def _distance(one: str, other: str) -> int:
    before_last: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        current = [row]
        for column, opposite in enumerate(other, 1):
            cost = min(last[column] + 1, current[column - 1] + 1, last[column - 1] + (letter != opposite))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == opposite:
                cost = min(cost, before_last[column - 2] + 1)
            current.append(cost)
        before_last, last = last, current
    return last[-1]
