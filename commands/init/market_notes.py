"""What a person should know about a new sandbox's market."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commands.shared.light_helpers import clean
from tradebot.adapters.state.state_folder import EXCHANGE, option

if TYPE_CHECKING:
    from tradebot.app.settings import Settings

MOST_SYMBOLS = 5000
MOST_NAMED = 5


def made_up(settings: "Settings", universe: Sequence[str]) -> tuple[str, ...]:
    """Return a remark about the symbols of a generated market that tradebot doesn't know, if there are any."""
    from tradebot.app import sandbox

    known = {*sandbox.default_symbols(MOST_SYMBOLS), *settings.sectors}
    unknown = sorted(set(universe) - known)
    if settings.sandbox.source != "generated" or not unknown:
        return ()
    names = f"{', '.join(map(clean, unknown[:MOST_NAMED]))}{', …' if len(unknown) > MOST_NAMED else ''}"
    return (f"tradebot doesn't know {names}: the market makes up prices for any name, so check the spelling",)


def market_notes(path: Path) -> tuple[str, ...]:
    """Return which parts of its files the market leaves out, and how to reach flow captured after a close."""
    from tradebot.app import sandbox

    sentences, complete_at = sandbox.remarks_on(path / EXCHANGE)
    if complete_at is None:
        return sentences
    tick = f"tradebot exchange tick {complete_at} {option(path)}"
    return (*sentences, f"some of the flow was captured after the close; to reach all of it: {tick}")
