"""The files of a new exchange, made once for all programs and processes of a run of the tests.

Making a market loads pandas and a calendar, which takes longer than most of what is played on it.
"""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.suite.calendars import KEPT
from tradebot.exchange import process
from tradebot.exchange.market.spec import MarketSpec

ERRED = 70


@cache
def files_of(spec: MarketSpec) -> dict[str, bytes]:
    """Return the files of an exchange of this market by their names; every exchange that gets them starts alike."""
    if KEPT not in os.environ:
        # Nothing is kept from one run to another: the code that makes markets may have changed between them.
        with tempfile.TemporaryDirectory() as folder:
            return _read(_made(spec, Path(folder) / "market"))
    kept = Path(os.environ[KEPT])
    kept.mkdir(exist_ok=True)
    place = kept / f"market-{hashlib.sha256(json.dumps(spec.to_fields(), sort_keys=True).encode()).hexdigest()}"
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=kept) as folder, suppress(OSError):
            # Another process may have been quicker.
            _made(spec, Path(folder) / "market").rename(place)
    return _read(place)


def _read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _made(spec: MarketSpec, place: Path) -> Path:
    """Make it in a child: every later fork of this process would pay for pandas."""
    place.mkdir()
    _in_a_child(lambda: process.create(place, spec))
    return place


def _in_a_child(step: Callable[[], None]) -> None:
    """Do something in its own process, and see that it was done."""
    child = os.fork()
    if not child:
        try:
            step()
        finally:
            os._exit(ERRED if sys.exc_info()[0] else 0)
    _, status = os.waitpid(child, 0)
    assert status == 0, "a step in a child failed"
