"""`sim completion`: a script by which a shell completes verbs, options, scenarios and run folders."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from typing import Any

from sim.cli.options import PLAIN, Completes, Verbs, completed_as
from sim.errors import EXIT_OK

SHELLS = ("bash", "zsh", "fish")


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "completion", help="print a script by which a shell completes what you type", formatter_class=PLAIN,
        description="Print a script for a shell, which completes verbs, options, scenario files, examples and run folders.\n"
        "It is of this version of sim: print it again after an update.",
        epilog="examples:\n"
        '  eval "$(sim completion bash)"    in ~/.bashrc\n'
        "  sim completion zsh > _sim        put _sim into a folder of $fpath\n"
        "  sim completion fish > sim.fish   put it into ~/.config/fish/completions",
    )  # fmt: skip
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=f"one of {', '.join(SHELLS)}")
    parser.set_defaults(verb=_completion)


def _completion(options: argparse.Namespace) -> int:
    import shtab

    from sim.cli import make_parser

    parser = make_parser()
    for action in _actions(parser):
        what = completed_as(action)
        if what is not None:
            setattr(action, "complete", _completer(what))  # noqa: B010 (shtab's own way, which argparse does not know)
    print(shtab.complete(parser, options.shell), end="")
    return EXIT_OK


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of a parser and of its verbs."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)


def _completer(what: Completes) -> dict[str, Any]:
    """How each shell completes an argument, as `shtab` takes it."""
    import shtab

    from sim.engine.names import ENGINES, OF_CALLS
    from sim.scenario import examples
    from sim.workflow import FORMATS

    match what:
        case Completes.FILE:
            return dict(shtab.FILE)
        case Completes.FOLDER:
            return dict(shtab.DIRECTORY)
        case Completes.PYTHON:
            return dict(shtab.glob("*.py"))
        case Completes.RUN:
            return _runs()
        case Completes.SCENARIO:
            return _yaml("scenario", list(examples.scenarios()))
        case Completes.MODELS:
            return _yaml("models", list(examples.models()))
        case Completes.EXAMPLE:
            return _words("examples", list(examples.scenarios()))
        case Completes.ENGINE:
            return _words("engines", ["auto", *ENGINES])
        case Completes.ENGINE_OF_CALLS:
            return _words("engines_of_calls", list(OF_CALLS))
        case Completes.FORMAT:
            return _words("formats", list(FORMATS))


def _words(name: str, words: list[str]) -> dict[str, Any]:
    listed = shlex.join(words)
    bash = f'_sim_{name}() {{\n  compgen -W {shlex.quote(listed)} -- "$1"\n}}'
    return {"bash": f"_sim_{name}", "zsh": f"({listed})", "fish": listed, "preamble": {"bash": bash}}


def _yaml(name: str, words: list[str]) -> dict[str, Any]:
    """A YAML file, a folder on the way to one, or an example's name."""
    listed = shlex.join(words)
    # "_file" in its name has bash add / to folders, and quote what needs it.
    bash = f"""\
_sim_file_{name}() {{
  compgen -W {shlex.quote(listed)} -- "$1"
  compgen -f -X '!*.yaml' -- "$1"
  compgen -f -X '!*.yml' -- "$1"
  compgen -d -- "$1"
}}"""
    zsh = f"""\
_sim_file_{name}() {{
  _alternative 'examples:example:({listed})' 'files:file:_files -g "*.(yaml|yml)"'
}}"""
    fish = f"""\
function _sim_file_{name}
  printf '%s\\n' {listed}
  for each in (__fish_complete_path (commandline -ct))
    string match -qr '(\\.ya?ml|/)$' -- (string split -m1 \\t -- $each)[1]; and printf '%s\\n' $each
  end
end"""
    function = f"_sim_file_{name}"
    return {"bash": function, "zsh": function, "fish": f"({function})", "preamble": {"bash": bash, "zsh": zsh, "fish": fish}}


def _runs() -> dict[str, Any]:
    """A run folder, or a folder on the way to one: with folders in it."""
    bash = """\
_sim_dir_run() {
  local each
  compgen -d -- "$1" | while IFS= read -r each; do
    if [ -e "$each/run.json" ] || [ -n "$(compgen -d -- "$each/")" ]; then
      printf '%s\\n' "$each"
    fi
  done
}"""
    fish = """\
function _sim_dir_run
  for each in (__fish_complete_directories)
    set -l folder (string split -m1 \\t -- $each)[1]
    if test -e "$folder/run.json"; or count $folder*/ >/dev/null
      printf '%s\\n' $each
    end
  end
end"""
    return {"bash": "_sim_dir_run", "zsh": "_files -/", "fish": "(_sim_dir_run)", "preamble": {"bash": bash, "fish": fish}}
