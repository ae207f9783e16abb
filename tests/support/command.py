"""What every command has that makes namespaces: it needs root, and ends in order."""
import os
import signal
import sys


def begin():
    """What each does first: root, and an orderly end for ^C and SIGTERM alike."""
    if os.geteuid() != 0:
        raise SystemExit("network namespaces and TUN devices need root: run it with sudo")

    def leave(number, _):
        # Impatience does not interrupt the cleaning up.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
