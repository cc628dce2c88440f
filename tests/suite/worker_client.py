"""Stand for a worker: hand this process's streams to the one that forks workers, and end when the worker has ended."""

import os
import signal
import socket
import sys


def main() -> None:
    """Connect to the address of the first argument; what execnet adds after it is for a new interpreter."""
    # Whoever types Ctrl-C means the tests.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(sys.argv[1])
        socket.send_fds(server, [b"."], [0, 1, 2])
        for number in (0, 1):
            os.close(number)
        pid = int(server.recv(64))
        signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGKILL))
        server.recv(1)


if __name__ == "__main__":
    main()
