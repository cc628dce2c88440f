"""Have a running `serve` tell people what happens, in a process of its own that is started again when it ends."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from jobs.runner import Kind, Line
from tradebot.adapters.state.one_shots import OneShots
from tradebot.app.wiring import App
from tradebot.errors import ExitCode
from tradebot.model.serving import STOPPED

FOREVER_S = 10 * 365 * 86_400.0
COMMAND = ("notify", "send", "--follow")
LAST_S = 5.0
"""How long the last notices of a run may take."""


@contextmanager
def notifying(app: "App", config: str | None, tell: Callable[[Line], None]) -> Iterator[None]:
    """Tell what happens inside the block, and what happened just before its end."""
    if not app.settings.notify.in_use():
        yield
        return
    ending = threading.Event()
    thread = threading.Thread(target=_run, args=(app, config, tell, ending), name="notify")
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def _run(app: "App", config: str | None, tell: Callable[[Line], None], ending: threading.Event) -> None:
    run, wait_s = OneShots(app.folder.path, config), float(app.settings.serve.retry_s)
    while not ending.is_set():
        ended = run(COMMAND, FOREVER_S, ending.is_set)
        if ended.why != STOPPED:
            said = f"notices stopped (exit {ended.code}): {ended.output.splitlines()[-1] if ended.output else ''}"
            tell(Line(datetime.now(UTC), Kind.FAILED, None, None, said, ExitCode.ERROR))
            ending.wait(wait_s)
    run(COMMAND[:2], LAST_S, lambda: False)
