"""Tell the service manager how `serve` is doing, by systemd's notification protocol (sd_notify(3)).

It is one datagram per message on a socket that the environment names. Without that name, nothing is sent.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

SOCKET, WATCHDOG_US, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class Supervisor:
    """The service manager that started this process, if one did."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get(SOCKET, "")
        # A leading @ stands for the zero byte of an abstract socket; other kinds of sockets aren't for us.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address if address.startswith("/") else ""
        self.watchdog_s = _watchdog_s(environ) if self._address else None
        """How long the manager waits for `WATCHDOG=1` before it ends this process; None if it doesn't wait."""

    def tell(self, **state: str) -> None:
        """Send variables such as READY="1" or STATUS="…"; a manager that can't be reached hears nothing."""
        if not self._address:
            return
        text = "\n".join(f"{name}={' '.join(value.split())}" for name, value in state.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            # A manager that doesn't read must not hold up the bot.
            sender.setblocking(False)
            sender.sendto(text.encode(), self._address)


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """Return the watchdog's time, if it is meant for this process and not for the one that started it."""
    text, process = environ.get(WATCHDOG_US, ""), environ.get(WATCHDOG_PID, "")
    if not (text.isascii() and text.isdigit()) or int(text) == 0 or process not in ("", str(os.getpid())):
        return None
    return int(text) / 1e6
