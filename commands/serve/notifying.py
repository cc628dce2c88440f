"""Have a running `serve` tell people what happens and listen to them, each in a process that is started again."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from jobs.runner import Kind, Line
from tradebot.adapters.state.one_shots import OneShots
from tradebot.app.wiring import App
from tradebot.errors import ExitCode
from tradebot.model.serving import STOPPED

FOREVER_S = 10 * 365 * 86_400.0
NOTICES, CHAT = ("notify", "send"), ("chat", "listen")
LAST_S = 5.0
"""How long the last notices of a run may take."""


@contextmanager
def beside(app: "App", config: str | None, tell: Callable[[Line], None]) -> Iterator[None]:
    """Tell what happens inside the block, and just before its end, and listen to the chat, if there is one."""
    ending = threading.Event()
    started = [
        threading.Thread(target=_run, args=(app, config, tell, ending, *one), name=one[0])
        for one in (("notices", (*NOTICES, "--follow"), NOTICES), ("chat", CHAT, None))
        if (app.settings.chat.telegram if one[1] is CHAT else app.settings.notify.in_use())
    ]
    for thread in started:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for thread in started:
            thread.join()


def _run(
    app: "App",
    config: str | None,
    tell: Callable[[Line], None],
    ending: threading.Event,
    name: str,
    words: Sequence[str],
    last: Sequence[str] | None,
) -> None:
    run, wait_s = OneShots(app.folder.path, config), float(app.settings.serve.retry_s)
    while not ending.is_set():
        ended = run(words, FOREVER_S, ending.is_set)
        if ended.why != STOPPED:
            said = f"{name} stopped (exit {ended.code}): {ended.output.splitlines()[-1] if ended.output else ''}"
            tell(Line(datetime.now(UTC), Kind.FAILED, None, None, said, ExitCode.ERROR))
            ending.wait(wait_s)
    if last is not None:
        run(last, LAST_S, lambda: False)
