"""Become the embedded Redis: `launcher.py PARENT SERVER CONFIGURATION`, PARENT being the process id that asks for it.

A program of its own, since these calls must be made in the child, and Python code between fork and exec is not safe
in a process that has threads. It imports only the standard library, so that it can run with -I -S.
"""

import ctypes
import ctypes.util
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

# The server of the wheel takes its memory from the C library. The allocator of glibc gives a chunk that was freed long
# ago, far from the processor's caches, and the more seats are held, the more of those there are: at a million a seat
# costs half as much again as at a thousand. With jemalloc it costs a quarter less from the start, and stays so.
ALLOCATOR = "jemalloc"


def prefer_allocator() -> None:
    """Have the server use the allocator, where the machine has it and the operator has not chosen another."""
    # By name only: it cannot be loaded into a program that runs, such as this one.
    library = ctypes.util.find_library(ALLOCATOR)
    if library:
        os.environ.setdefault("LD_PRELOAD", library)


def main() -> None:
    """Replace this process by the server; exit with 1 when the parent is gone already."""
    parent, server = int(sys.argv[1]), sys.argv[2]
    # A Ctrl-C goes to the whole group: it is for the parent, which still has decisions to bring home.
    os.setsid()
    if sys.platform == "linux":
        # SIGKILL rather than SIGTERM: it cannot be put off by a script or a load, and an AOF with fsync always has
        # to bear it anyway. A child that was rewriting the AOF ends by itself when its pipe to the server breaks.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the call: then no signal comes.
        if os.getppid() != parent:
            sys.exit(1)
        prefer_allocator()
    os.execv(server, [server, *sys.argv[3:]])


if __name__ == "__main__":
    main()
