"""Serve the exchange in one folder: python -m papervenue --state DIR [--port N] [--idle-exit SECONDS]."""

from __future__ import annotations

import argparse
import gc
import signal
import sys
from pathlib import Path

from papervenue.market.spec import MarketError
from papervenue.process import EXIT_HELD, EXIT_REFUSED, FolderInUseError

_EXIT_ERROR = 1


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    arguments = _parser().parse_args()
    # Imported code is never garbage, and collecting it would take a third of the time to start and stop.
    gc.disable()
    from papervenue.server import serve

    gc.freeze()
    gc.enable()
    try:
        serve(arguments.state, arguments.port, arguments.idle_exit, arguments.detach)
    except FolderInUseError as error:
        print(error, file=sys.stderr)
        return EXIT_HELD
    except MarketError as error:
        print(error.message, error.hint, sep="\n", file=sys.stderr)
        return EXIT_REFUSED
    except OSError as error:
        print(f"{error.filename or arguments.state} can't be used: {error.strerror}", file=sys.stderr)
        return _EXIT_ERROR
    finally:
        gc.freeze()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m papervenue", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="the exchange's folder")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; by default a free one")
    parser.add_argument("--idle-exit", type=float, default=None, help="stop after this many seconds without a request")
    parser.add_argument("--detach", action="store_true", help="move to the background once it listens")
    return parser


if __name__ == "__main__":
    sys.exit(main())
