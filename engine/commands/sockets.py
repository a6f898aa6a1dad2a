"""The listening sockets of a deployment: one for each api process, all on one address.

The supervisor holds them for as long as it lives, and a process inherits the one of its place. So what waits in the
accept queue of a process that dies, or that a new one takes over from, waits on and is not reset.
"""

import errno
import socket
import sys
from typing import Any, Final

from engine.commands.supervisor import Failed
from engine.config import BACKLOG

SPREADS: Final = sys.platform == "linux"
"""Whether the kernel spreads connections over the sockets of one address; macOS has SO_REUSEPORT and does not."""


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """`count` listening sockets on one address; where the kernel does not spread, `count` times the same one.

    Raises Failed when the address cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise Failed(f"host {host}: {error.strerror}") from None
    found: list[socket.socket] = []
    try:
        # The first is bound without SO_REUSEPORT: nobody else can have the port, and of two who come at once listening
        # tells who has it. The others of this deployment may join it afterwards.
        found.append(_listening(family, address))
        if not SPREADS:
            return found * count
        for _ in range(count - 1):
            found[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            found.append(_listening(family, found[0].getsockname(), socket.SO_REUSEPORT))
    except OSError as error:
        for sock in found:
            sock.close()
        reason = "is in use" if error.errno == errno.EADDRINUSE else str(error.strerror)
        raise Failed(f"port {port} on {host} {reason}") from None
    return found


def _listening(family: int, address: Any, *options: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in (socket.SO_REUSEADDR, *options):
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
