"""The examples that come with the program: find them by name, and copy them as a start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sim.errors import InputError, Problem
from sim.files import OF_THE_MACHINE, placing, put_new, written_aside
from sim.scenario.loading import read_yaml
from sim.spelling import did_you_mean, there_are

_SCHEMA_LINE = "# yaml-language-server:"


def folder() -> Path:
    """The folder of the examples: `sim/examples` of an installed package, or `scenarios` beside the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "examples"
    return installed if installed.is_dir() else package.parent / "scenarios"


def scenarios() -> dict[str, Path]:
    """Name → file of every example scenario, by name.

    >>> "quickstart" in scenarios()
    True
    """
    return {file.stem: file for file in sorted(folder().glob("*.yaml"), key=lambda file: file.stem)}


def models() -> dict[str, Path]:
    """Name → file of every example models file, by name.

    >>> list(models())
    ['checkout', 'offers', 'search']
    """
    return {file.stem: file for file in sorted((folder() / "models").glob("*.yaml"))}


def registering(model: str) -> str:
    """The command that registers the versions of a model that an example plays; empty if no example does.

    >>> registering("checkout-ranker"), registering("of-my-own")
    ('sim models register checkout', '')
    """
    described = (stem for stem, file in models().items() if read_yaml(file).data.get("model") == model)
    return next((f"sim models register {stem}" for stem in described), "")


@dataclass(frozen=True)
class Found:
    """The file that a word on the command line names. `note` states the file if the word is not its path."""

    file: Path
    note: str = ""


def find(word: str, examples: Mapping[str, Path]) -> Found:
    """The file with this path, or the example with this name. A file in the current folder, with or without .yaml, wins.

    Raises `InputError` if a bare name is neither, or if the name without its ending is an example. Any other path that does
    not exist is returned: its reader reports it.
    """
    path = Path(word)
    if path.is_file():
        return Found(path, f"{word} is a file in this folder, and taken instead of the example" if word in examples else "")
    if path.name != word or path.is_dir():
        return Found(path)
    if path.suffix:
        if path.suffix in (".yaml", ".yml") and path.stem in examples:
            raise InputError([Problem(f"no such file; there is an example of that name: {path.stem}", file=word)])
        return Found(path)
    beside = Path(f"{word}.yaml")
    if beside.is_file():
        instead = ", and taken instead of the example" if word in examples else ""
        return Found(beside, f"{word} is {beside}, a file in this folder{instead}")
    if word in examples:
        return Found(examples[word], f"{word} is an example that comes with sim: {examples[word]}")
    others = models() if examples.keys() == scenarios().keys() else scenarios()
    hint = did_you_mean(word, examples)
    if word in others:
        hint = f"{word} is an example of a {'models file' if word in models() else 'scenario'}"
    raise InputError([Problem(f"no such file, and no example of that name; {hint or there_are(examples)}", file=word)])


def listing() -> Iterator[tuple[str, str]]:
    """(name, question) of every example scenario."""
    for name, file in scenarios().items():
        yield name, str(read_yaml(file).data.get("question", ""))


@dataclass(frozen=True)
class Start:
    """The files that were written, and the commands to run next."""

    files: tuple[Path, ...]
    commands: tuple[str, ...]


def write(name: str, into: Path) -> Start:
    """Write an example scenario and its models file into a folder, which is created if absent.

    Raises `InputError` for a name that is no example, and if one of the files exists: then nothing is written.
    """
    known = scenarios()
    if name not in known:
        hint = did_you_mean(name, known) or there_are(known)
        raise InputError([Problem(f"no example {name!r}; {hint}", path="--example")])
    document = read_yaml(known[name])
    needed = {str(model.get("uri", "")).removeprefix("models:/").partition("@")[0] for model in document.data["models"]}
    described = {stem: file for stem, file in models().items() if read_yaml(file).data.get("model") in needed}
    text = document.text
    contents: dict[Path, str] = {}
    for stem, file in described.items():
        target = into / "models" / file.name
        text = text.replace(f"sim models register {stem}", f"sim models register models/{file.name}")
        contents[target] = file.read_text(encoding="utf-8")
    # The relative path of the schema is valid only in the folder of the examples.
    lines = [line for line in text.splitlines() if not line.startswith(_SCHEMA_LINE)]
    scenario = into / f"{name}.yaml"
    contents = {scenario: "\n".join(lines) + "\n", **contents}
    write_new(contents)
    registering = [f"sim models register {into / 'models' / file.name}" for file in described.values()]
    return Start(tuple(contents), (*(registering or ["sim models demo"]), f"sim run {scenario}"))


def write_new(contents: Mapping[Path, str]) -> None:
    """Write text files, by path, into folders that are made if absent: all of them, or none.

    Raises `InputError` if one exists or its place cannot be used, `FileError` if the machine cannot write it. The first is put
    into place last, so that it is not there without the files that it names.
    """
    made: list[Path] = []
    aside: dict[Path, Path] = {}
    now = next(iter(contents))
    try:
        existing = []
        for now in contents:
            if now.exists():
                existing.append(Problem("is there already, and is not overwritten", file=str(now)))
        if existing:
            raise InputError(existing)
        for now, content in contents.items():
            _make_folder(now.parent, made)
            aside[now] = written_aside(now, content)
            made.append(aside[now])
        for now in reversed(list(contents)):
            put_new(aside[now], now)
            made.append(now)
    except BaseException as error:
        for path in reversed(made):
            with suppress(OSError):
                if path.is_dir():
                    path.rmdir()
                else:
                    path.unlink()
        if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
            with placing(now):
                raise
        # A name with a null character is a ValueError.
        if not isinstance(error, OSError | ValueError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError([Problem(f"cannot be written: {reason}", file=str(now))]) from error
    for temporary in aside.values():
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _make_folder(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it, each of which is added to `made`."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        made.append(each)
