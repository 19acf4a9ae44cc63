"""Which word somebody meant: the nearest of those that there are, for "did you mean"."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 80
_MOST = 3


def closest(word: object, words: Iterable[str]) -> tuple[str, ...]:
    """The words that `word` is most likely a slip of, in their order: all that are equally near, but none where over three are.

    Near is a distance of at most one edit in three letters, rounded, and at least one. Case, ``_`` and ``-`` do not count.
    Where nothing is that near: the words that begin or end as `word` does, or the other way round, for three letters and more.
    The distance counts a letter left out, added, replaced, or swapped with its neighbour (Damerau, CACM 7 (1964) 171, as
    "optimal string alignment": no letter is edited twice).

    >>> closest("rates", ["rate", "trace", "arrivals"]), closest("mx", ["min", "max", "trip"])
    (('rate',), ('max',))
    >>> closest("mox", ["mix", "max"]), closest("repl", ["replications", "seed"]), closest("zebra", ["min", "max"])
    (('mix', 'max'), ('replications',), ())
    """
    said = _plain(str(word)[:_LONGEST])
    if not said:
        return ()
    there = list(dict.fromkeys(words))
    distances = {each: _distance(said, _plain(each)) for each in there}
    near = {each: far for each, far in distances.items() if far <= max(1, (max(len(said), len(_plain(each))) + 1) // 3)}
    # Of two letters, one replaced leaves a single one in common: that may be any word of two.
    near = {each: far for each, far in near.items() if far < len(_plain(each)) or far == 0}
    if near:
        best = tuple(each for each, far in near.items() if far == min(near.values()))
        return best if len(best) <= _MOST else ()
    begun = tuple(each for each in there if _shares_an_end(said, _plain(each)))
    return begun if len(begun) <= _MOST else ()


def did_you_mean(word: object, words: Iterable[str], *, quoted: bool = True) -> str:
    """A question for the end of a message, or nothing where no word is near.

    >>> did_you_mean("rat", ["rate", "trace"])
    "did you mean 'rate'?"
    """
    near = closest(word, words)
    return f"did you mean {' or '.join(repr(each) if quoted else each for each in near)}?" if near else ""


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
