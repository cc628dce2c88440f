"""Let the processes of one run of the tests work out a calendar once.

Each process that needs one would otherwise load pandas and the library of calendars, and compute the same years, which
takes more than a second. Nothing is kept from one run to another, so a change of the code is always seen.
"""

import os
import pickle
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from papervenue.market import hours
from tradebot.adapters.time import calendar

KEPT = "TESTS_KEPT"
"""The variable that names the folder in which a run of the tests keeps what it makes once."""


def know_once() -> None:
    """Take calendars from the run's other processes from now on, if this process belongs to a run."""
    if KEPT in os.environ:
        folder = Path(os.environ[KEPT])
        for module, name in ((hours, "_library_sessions"), (calendar, "every_session"), (calendar, "is_listed")):
            vars(module)[name] = kept(folder, vars(module)[name])


def kept(folder: Path, work_out: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that gives what another one does, worked out by whichever process asks first."""

    @cache
    def asked(*arguments: object) -> Any:
        path = folder / "-".join((work_out.__name__, *(str(one).replace("/", "") for one in arguments)))
        if path.exists():
            return pickle.loads(path.read_bytes())  # noqa: S301 -- this run has written it
        found = work_out(*arguments)
        folder.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            pickle.dump(found, file)
        # Whoever reads it meanwhile finds all of it or nothing.
        os.replace(file.name, path)
        return found

    return asked
