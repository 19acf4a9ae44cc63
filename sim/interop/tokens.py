"""Text as tokens, for the small languages in manifests: queries of Prometheus and conditions of Argo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LONGEST = 20_000
"""Characters of the longest query or condition that is read."""
DEEPEST = 50
"""Levels of brackets that a query or condition may have."""


class Unread(Exception):
    """A text is not in the language, or says what cannot be simulated. The message ends a sentence that names the text."""


@dataclass(frozen=True)
class Token:
    """A piece of text. `kind` is number, text (in quotes), name or sign."""

    kind: str
    text: str


def tokens_of(text: str, signs: Sequence[str], letters: str = "_", inside: str = "") -> list[Token]:
    """The tokens of a text; `signs` with the longest first. Names begin with a letter or one of `letters`; `inside` too.

    A number may end in letters, as a duration does. `#` begins a comment where it is no sign. Raises `Unread`.

    >>> [token.text for token in tokens_of('up{a="b"}[5m]', ["{", "}", "[", "]", "="])]
    ['up', '{', 'a', '=', 'b', '}', '[', '5m', ']']
    """
    if len(text) > LONGEST:
        raise Unread(f"it has more than {LONGEST:,} characters")
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        letter = text[at]
        sign = next((each for each in signs if text.startswith(each, at)), "")
        if letter.isspace():
            at += 1
        elif letter in "\"'`":
            word, at = _quoted(text, at)
            tokens.append(Token("text", word))
        elif letter.isascii() and (letter.isdigit() or (letter == "." and text[at + 1 : at + 2].isdigit())):
            end = at
            while end < len(text) and (text[end].isalnum() or text[end] == "." or _exponent(text, end)):
                end += 1
            tokens.append(Token("number", text[at:end]))
            at = end
        elif (letter.isascii() and letter.isalpha()) or letter in letters:
            end = at
            while end < len(text) and ((text[end].isascii() and text[end].isalnum()) or text[end] in letters + inside):
                end += 1
            tokens.append(Token("name", text[at:end]))
            at = end
        elif sign:
            tokens.append(Token("sign", sign))
            at += len(sign)
        elif letter == "#":
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        else:
            raise Unread(f"{letter!r} is not understood")
    return tokens


def _exponent(text: str, at: int) -> bool:
    """Whether a sign belongs to the exponent of a number, as in 1e-3."""
    return text[at] in "+-" and text[at - 1] in "eE" and text[at - 2 : at - 1].isdigit() and text[at + 1 : at + 2].isdigit()


def _quoted(text: str, at: int) -> tuple[str, int]:
    """The text in quotes that begin at a place, and the place after it."""
    quote, word = text[at], ""
    at += 1
    while at < len(text) and text[at] != quote:
        if text[at] == "\\" and quote != "`" and at + 1 < len(text):
            at += 1
            word += {"n": "\n", "t": "\t"}.get(text[at], text[at])
        else:
            word += text[at]
        at += 1
    if at >= len(text):
        raise Unread("a quote is not closed")
    return word, at + 1


class Reader:
    """Tokens that are taken one after another."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0

    def peek(self) -> Token:
        """The next token; an empty sign at the end."""
        return self.tokens[self.at] if self.at < len(self.tokens) else Token("sign", "")

    def take(self) -> Token:
        """The next token, and go on."""
        token = self.peek()
        self.at += 1
        return token

    def sign(self, *signs: str) -> str:
        """Take one of these signs if it is next; else nothing."""
        token = self.peek()
        if token.kind == "sign" and token.text in signs and token.text:
            self.at += 1
            return token.text
        return ""

    def word(self, *names: str) -> str:
        """Take one of these names if it is next, in any case; else nothing."""
        token = self.peek()
        if token.kind == "name" and token.text.lower() in names:
            self.at += 1
            return token.text.lower()
        return ""

    def must(self, sign: str) -> None:
        """Take this sign. Raises `Unread` where it is not next."""
        if not self.sign(sign):
            raise Unread(f"{sign!r} is missing before {self.peek().text or 'its end'!r}")

    def end(self) -> None:
        """Raises `Unread` where anything is left."""
        if self.at < len(self.tokens):
            raise Unread(f"{self.peek().text!r} is not understood here")

    def deeper(self) -> None:
        """Count a level of brackets. Raises `Unread` where they are too many."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unread(f"it has more than {DEEPEST} levels of brackets")
