"""Tell the service manager how `serve` is doing, by systemd's notification protocol (sd_notify(3)).

It is one datagram per message on a socket that the environment names. Without that name, nothing is sent.
"""

import socket
from collections.abc import Mapping
from contextlib import suppress

SOCKET = "NOTIFY_SOCKET"


class Supervisor:
    """The service manager that started this process, if one did. What it doesn't want to know, it ignores."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get(SOCKET, "")
        # A leading @ stands for the zero byte of an abstract socket; other kinds of sockets aren't for us.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address if address.startswith("/") else ""

    def tell(self, **state: str) -> None:
        """Send variables such as READY="1" or STATUS="…"; a manager that can't be reached hears nothing."""
        if not self._address:
            return
        text = "\n".join(f"{name}={' '.join(value.split())}" for name, value in state.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            # A manager that doesn't read must not hold up the bot.
            sender.setblocking(False)
            sender.sendto(text.encode(), self._address)
