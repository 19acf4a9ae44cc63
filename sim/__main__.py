"""The command `sim`, and `python -m sim`. Nothing of ours is imported before Ctrl-C is waited for."""

import os
import signal
import threading
from contextlib import suppress


def main() -> int:
    """Run one command and return its exit code. What it loads can be interrupted as well as what it does."""
    try:
        # An interrupt that is ignored, or that a caller waits for, is left as it is.
        ours = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if ours:
            signal.signal(signal.SIGINT, _interrupted)
        from sim.cli import main as command

        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return command()
    except KeyboardInterrupt:
        return _ended()


def _interrupted(number: int, frame: object) -> None:
    """End at once: nothing has been done yet, and imports may lose a `KeyboardInterrupt`, or show its traceback."""
    os._exit(_ended())


def _ended() -> int:
    # A message without a stream to say it on is left out. The code is that of `sim.errors.EXIT_INTERRUPTED`.
    with suppress(OSError):
        os.write(2, b"sim: interrupted\n")
    return 130


if __name__ == "__main__":
    raise SystemExit(main())
