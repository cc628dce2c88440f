"""Have a running `serve` tell people what happens and listen to them, each in a process that is started again."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from jobs.runner import LogKind, LogLine
from tradebot.adapters.state.subprocess_runner import OneShots
from tradebot.app.wiring import App
from tradebot.errors import ExitCode
from tradebot.model.serving import STOPPED

if TYPE_CHECKING:
    from tradebot.app.settings import Loaded, Settings

FOREVER_S = 10 * 365 * 86_400.0
LAST_S = 5.0
"""How long the last notices of a run may take."""
LOOK_S = 1.0
"""How often a part that isn't in use is looked at again."""


class ServePart(Struct, frozen=True):
    """A helper of `serve` beside the lanes: its start and stop messages, and whether a bot has it."""

    name: str
    words: Sequence[str]
    last: Sequence[str]
    in_use: "Callable[[Settings], bool]"


NOTICES = ServePart(
    "notices", ("notify", "send", "--follow"), ("notify", "send"), lambda settings: bool(settings.notify.in_use())
)
CHAT = ServePart("chat", ("chat", "listen"), (), lambda settings: settings.chat.telegram is not None)


@contextmanager
def beside(
    app: "App", config: str | None, tell: Callable[[LogLine], None], now: "Callable[[], Loaded]"
) -> Iterator[None]:
    """Tell what happens inside the block, and just before its end, and listen to the chat, if there is one.

    Each process reads the configuration when it starts, so another one begins, or none, when `now` returns another.
    """
    ending = threading.Event()
    started = [
        threading.Thread(target=_run, args=(app, config, tell, ending, now, part), name=part.name)
        for part in (NOTICES, CHAT)
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
    tell: Callable[[LogLine], None],
    ending: threading.Event,
    now: "Callable[[], Loaded]",
    part: ServePart,
) -> None:
    run, wait_s = OneShots(app.folder.path, config), float(app.settings.serve.retry_s)
    while not ending.is_set():
        loaded = now()
        if not part.in_use(loaded.settings):
            ending.wait(LOOK_S)
            continue
        ended = run(part.words, FOREVER_S, lambda: ending.is_set() or now() is not loaded)  # noqa: B023 -- it runs now
        if ended.why != STOPPED:
            said = f"{part.name} stopped (exit {ended.code}): {ended.output.splitlines()[-1] if ended.output else ''}"
            tell(LogLine(datetime.now(UTC), LogKind.FAILED, None, None, said, ExitCode.ERROR))
            ending.wait(wait_s)
    if part.last and part.in_use(now().settings):
        run(part.last, LAST_S, lambda: False)
