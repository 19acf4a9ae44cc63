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
        # What an earlier build left must not be shipped.
        shutil.rmtree(Path(self.build_lib) / TARGET, ignore_errors=True)
        for source, target in self._examples():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *(str(target) for _, target in self._examples())]

    def _examples(self) -> list[tuple[Path, Path]]:
        """Where each is copied from and to."""
        if self.editable_mode:
            return []
        return [(file, Path(self.build_lib) / TARGET / file.relative_to(SOURCE)) for file in sorted(SOURCE.rglob("*.yaml"))]


setup(cmdclass={"build_py": BuildWithExamples})
