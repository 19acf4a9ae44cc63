"""The command `sim`, and `python -m sim`."""

import sys

from sim.errors import EXIT_INTERRUPTED


def main() -> int:
    """Run one command and return its exit code. What it loads can be interrupted as well as what it does."""
    try:
        from sim.cli import main as command
    except KeyboardInterrupt:
        print("sim: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    return command()


if __name__ == "__main__":
    raise SystemExit(main())
