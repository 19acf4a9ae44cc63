"""A parser whose errors name the unknown option or verb and suggest a known one."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any

from sim.spelling import closest, did_you_mean

_NUMBER = re.compile(r"-\.?[0-9]")


class Parser(argparse.ArgumentParser):
    """`argparse` with errors for unknown options. Plain `argparse` would take the value of an unknown option for a file.

    `reads_scenario` is for verbs of a scenario file: an unknown option may be a key of the file.
    """

    def __init__(self, *arguments: Any, reads_scenario: bool = False, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._reads_scenario = reads_scenario
        self._verbs: argparse._SubParsersAction[Any] | None = None

    def add_subparsers(self, **settings: Any) -> Any:
        self._verbs = super().add_subparsers(**settings)
        return self._verbs

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        given = sys.argv[1:] if args is None else list(args)
        self._refuse_unknown(given)
        return super().parse_known_args(given, namespace)

    def _print_message(self, message: str, file: Any = None) -> None:
        # `argparse` says nothing of an output that cannot be written.
        if message:
            print(message, end="", file=file or sys.stderr)

    def _refuse_unknown(self, given: Sequence[str]) -> None:
        for word in given:
            if word == "--":
                return
            if not word.startswith("-") or word == "-" or _NUMBER.match(word):
                if self._verbs is None:
                    continue
                if word not in self._verbs.choices:
                    verbs = list(self._verbs.choices)
                    self.error(f"unknown verb {word!r}; {did_you_mean(word, verbs) or 'there are ' + ', '.join(verbs)}")
                # What follows is the verb's own.
                return
            option = word.partition("=")[0]
            known = self._option_string_actions
            begun = option.startswith("--") and any(each.startswith(option) for each in known)
            if not begun and (option if option.startswith("--") else option[:2]) not in known:
                self.error(f"unknown option {option}; {self._meant(option)}")

    def _meant(self, option: str) -> str:
        options = [each for each in self._option_string_actions if each.startswith("--")]
        keys: list[str] = []
        if self._reads_scenario:
            from sim.scenario.schema import Scenario

            keys = list(Scenario.model_fields)
        near = closest(option, [*options, *keys])
        if near and near[0] in keys:
            return f"{near[0]} is a key of the scenario file: --set {near[0]}=VALUE"
        return did_you_mean(option, options, quoted=False) or f"`{self.prog} --help` lists the options"
