"""Ships the example scenarios: `scenarios/` beside the package becomes `sim/examples` in it. All else is in pyproject.toml."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SOURCE = Path("scenarios")
TARGET = Path("sim", "examples")


class BuildWithExamples(build_py):
    """A package is built with the examples in it; an editable install reads them where they are (`sim.scenario.examples`)."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / TARGET
        # What an earlier build left must not be shipped.
        shutil.rmtree(target, ignore_errors=True)
        for file in sorted(SOURCE.rglob("*.yaml")):
            place = target / file.relative_to(SOURCE)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        shipped = (
            []
            if self.editable_mode
            else [Path(self.build_lib) / TARGET / each.relative_to(SOURCE) for each in SOURCE.rglob("*.yaml")]
        )
        return [*super().get_outputs(include_bytecode), *map(str, shipped)]


setup(cmdclass={"build_py": BuildWithExamples})
