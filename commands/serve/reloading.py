"""Read the configuration again while `serve` runs: take over a valid one, and keep what there is if it isn't."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from tradebot.adapters.plugins.plugin import require_installed
from tradebot.errors import TradebotError, one_line
from tradebot.model.event import EventKind
from tradebot.model.text import in_yaml

if TYPE_CHECKING:
    from commands.serve.stop import Stop
    from commands.serve.watch import Watch
    from tradebot.app.settings import Loaded, Settings
    from tradebot.ports.stores import Events

SUBSYSTEM = "config"
AT_START = ("mode", "serve.log", "health")
"""Settings that a running `serve` can't change; each lane reads the others again."""
LONGEST = 80
MOST = 20
"""How many changed settings are named."""


class Reloading(Struct):
    """Reads the configuration when that is asked for; `taken` is what the lanes should go on with, None otherwise."""

    load: "Callable[[], Loaded]"
    now: "Loaded"
    stop: "Stop"
    watch: "Watch"
    events: "Events"
    stamp_time: Callable[[], datetime] = lambda: datetime.now(UTC)
    taken: "Loaded | None" = None

    def look(self) -> None:
        """Read the configuration if a signal asked for it; the passes end before a valid one counts."""
        if not self.stop.reload_asked or self.stop.ending:
            return
        self.stop.reload_asked = False
        self.watch.reloading()
        try:
            loaded = self.load()
            require_installed(loaded.settings.strategies.installed_as())
        except TradebotError as invalid:
            problem = f"the configuration wasn't reloaded: {one_line(invalid)}"
            self._tell(EventKind.CONFIG_NOT_RELOADED, problem)
            self.watch.trouble(SUBSYSTEM, problem)
            self.watch.reloaded()
            return
        self.watch.trouble(SUBSYSTEM, None)
        changed = changes(self.now.settings, loaded.settings)
        self._tell(EventKind.CONFIG_RELOADED, described(changed))
        if changed:
            self.taken = loaded
            self.stop.reload()
        else:
            self.watch.reloaded()

    def take(self) -> "Loaded | None":
        """Return what the lanes should go on with, once; None if they should end."""
        loaded, self.taken = self.taken, None
        if loaded is not None:
            self.now, self.stop.reloading = loaded, False
        return None if self.stop.asked else loaded

    def _tell(self, kind: EventKind, message: str) -> None:
        self.events.emit(kind.at(self.stamp_time(), {"message": message}))


def changes(before: "Settings", after: "Settings") -> tuple[tuple[str, str, str], ...]:
    """Return each setting that changed: its name, and both values as they are written in the configuration."""
    from tradebot.app.baseline import values_of

    was, now = values_of(before), values_of(after)
    names = (name for name in dict.fromkeys((*was, *now)) if was.get(name) != now.get(name))
    return tuple((name, _shown(was.get(name)), _shown(now.get(name))) for name in names)


def described(changed: tuple[tuple[str, str, str], ...]) -> str:
    """Describe what changed in a sentence, and name the settings that only count after a restart."""
    if not changed:
        return "the configuration was read again, and nothing in it changed"
    named = [f"{name} from {was} to {now}" for name, was, now in changed[:MOST]]
    more = f" and {len(changed) - MOST} more" if len(changed) > MOST else ""
    restart = [name for name, *_ in changed if name.startswith(AT_START)]
    later = f"; restart serve for {', '.join(restart)}" if restart else ""
    return f"the configuration was reloaded: {', '.join(named)}{more}{later}"


def _shown(value: object) -> str:
    text = in_yaml(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
