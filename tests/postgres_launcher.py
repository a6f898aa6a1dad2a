"""Become a program of PostgreSQL: `postgres_launcher.py PARENT UID GID PROGRAM…`, as another user where UID is not 0.

A program of its own, since these calls must be made in the child, and Python code between fork and exec is not safe
in a process that has threads. It imports only the standard library, so that it can run with -I -S.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Replace this process by the program; exit with 1 when the parent is gone already."""
    parent, uid, gid = map(int, sys.argv[1:4])
    # A Ctrl-C goes to the whole group: it is for the parent.
    os.setsid()
    if uid:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After the change of user, which takes it back. SIGQUIT ends a server at once, with all of its backends.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)
        # The parent may have died before the call: then no signal comes.
        if os.getppid() != parent:
            sys.exit(1)
    os.execv(sys.argv[4], sys.argv[4:])


main()
