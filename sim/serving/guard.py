"""Keeps a server from outliving whoever started it: a script of its own that runs a command until its standard input closes.

Whatever ends the parent, kill -9 too, closes the pipe. Then every process of this group is killed, the guard included. It uses
nothing but the standard library, and is started as the leader of a new session.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def _until_closed() -> None:
    # Not through sys.stdin: a reader that holds its lock would keep the interpreter from ending.
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Run the command that the arguments are; exit with its code, when nobody is left who wants it."""
    threading.Thread(target=_until_closed, daemon=True).start()
    # Whoever ends the guard ends what it guards.
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    code = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, check=False).returncode
    sys.stdout.flush()
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
