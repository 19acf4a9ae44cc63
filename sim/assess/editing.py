"""Changing single values in the text of a YAML or JSON file, with all else, comments too, as it is."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping

import yaml

Mark = tuple[int, int]
"""The line and the column, from 1, where a value begins."""


def replaced(text: str, mark: Mark, change: Callable[[str], str]) -> str:
    """The text with the scalar that begins at a mark changed, as it is written there.

    >>> replaced("a: 5m   # why\\nb: 2\\n", (1, 4), lambda value: "10m")
    'a: 10m   # why\\nb: 2\\n'
    """
    node = next(each for each in _nodes(text) if isinstance(each, yaml.ScalarNode) and _starts(each, mark))
    start, end = node.start_mark.index, node.end_mark.index
    return text[:start] + change(text[start:end]) + text[end:]


def inserted(text: str, mark: Mark, key: str, value: str) -> str:
    """The text with a key added in front of those of the mapping that begins at a mark.

    >>> inserted("- name: a\\n  max: 1\\n", (1, 3), "trip", "2")
    '- trip: 2\\n  name: a\\n  max: 1\\n'
    >>> inserted("- {name: a}\\n", (1, 3), "trip", "2")
    '- {trip: 2, name: a}\\n'
    """
    node = next(each for each in _nodes(text) if isinstance(each, yaml.MappingNode) and _starts(each, mark))
    at = node.start_mark.index
    if node.flow_style:
        quote = '"' if text[at + 1 :].lstrip().startswith('"') else ""
        return f"{text[: at + 1]}{quote}{key}{quote}: {value}{', ' if node.value else ''}{text[at + 1 :]}"
    return f"{text[:at]}{key}: {value}\n{' ' * node.start_mark.column}{text[at:]}"


def within(pattern: str, new: Callable[[re.Match[str]], str]) -> Callable[[str], str]:
    """A change of all that matches a pattern in a value, such as the windows of a query."""
    return lambda written: re.sub(pattern, new, written)


def patch(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """The difference of texts by file as a unified diff, which `patch -p1` applies.

    >>> print(patch({"a.yaml": "x: 1\\n"}, {"a.yaml": "x: 2\\n"}), end="")
    --- a/a.yaml
    +++ b/a.yaml
    @@ -1 +1 @@
    -x: 1
    +x: 2
    """
    lines: list[str] = []
    for file, text in before.items():
        old, new, name = text.splitlines(keepends=True), after[file].splitlines(keepends=True), file.lstrip("/")
        for line in difflib.unified_diff(old, new, f"a/{name}", f"b/{name}"):
            lines.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(lines)


def _starts(node: yaml.Node, mark: Mark) -> bool:
    return (node.start_mark.line + 1, node.start_mark.column + 1) == mark


def _nodes(text: str) -> Iterator[yaml.Node]:
    """Every node of every document, each once, outer ones first."""
    seen: set[int] = set()
    left = [root for root in yaml.compose_all(text, Loader=yaml.SafeLoader) if root is not None]
    while left:
        node = left.pop(0)
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            left += [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            left += node.value
