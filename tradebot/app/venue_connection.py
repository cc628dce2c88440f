"""Connect to the venue that mode, address and keys select; `first_look` reads clock and account before books exist."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tradebot.adapters.state import state_folder
from tradebot.adapters.text.canonical import parse_time
from tradebot.app.flow_plan import allowance_of
from tradebot.app.keys import Secrets, load_addresses, load_chat_token, load_secrets
from tradebot.app.settings import Settings
from tradebot.app.venues import driver_for
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.event import EventKind
from tradebot.model.trading import Mode
from tradebot.venues.door import SANDBOX_KEY, Access

if TYPE_CHECKING:
    from tradebot.adapters.flow.unusual_whales import UnusualWhales
    from tradebot.adapters.state.events import JsonlEvents
    from tradebot.adapters.wire.http import HttpReply
    from tradebot.adapters.wire.json_fields import DriftTally, FieldDrift
    from tradebot.model.account import Account
    from tradebot.model.bar import VenueClock

ANSWER_TOOK = "x-exchange-answer-took"
"""The header in which the embedded exchange reports a request's duration in engine seconds."""
ANSWER_MADE_AT = "x-exchange-time"


def first_look(path: Path, settings: Settings, environ: Mapping[str, str]) -> tuple[VenueClock, Account]:
    """Return the venue's clock and account, before the bot has any books."""
    from tradebot.adapters.wire.json_fields import DriftTally

    exchange = path / state_folder.EXCHANGE
    url = started_exchange(exchange) if settings.mode is Mode.SANDBOX else None
    door, ports = driver_for(settings.venue), partial(ports_of_exchange, exchange)
    access = Access(settings, secrets_for(settings, environ).venue, url, ports=ports)
    reader = door.reader(door.connect(access), DriftTally())
    return reader.clock(), reader.account()


def started_exchange(folder: Path) -> str:
    """Return the address of a state folder's embedded exchange, starting it if necessary."""
    # Verbs on a real account never need the exchange, and importing it takes a twentieth of a short verb's time.
    from tradebot.app.sandbox import start

    return start(folder)


def ports_of_exchange(folder: Path) -> Mapping[str, int]:
    """Return a running exchange's other ports, by protocol name."""
    from tradebot.app.sandbox import ports

    return ports(folder)


def engine_time_of(headers: Mapping[str, str]) -> datetime | None:
    """Return the embedded exchange's time from a reply's headers; None if the headers lack it."""
    made_at = headers.get(ANSWER_MADE_AT)
    return parse_time(made_at) + timedelta(seconds=float(headers.get(ANSWER_TOOK, 0))) if made_at else None


def secrets_for(settings: Settings, environ: Mapping[str, str]) -> Secrets:
    """Return the keys that the settings require; the sandbox uses built-in keys."""
    if settings.mode is Mode.SANDBOX:
        return Secrets(SANDBOX_KEY, {})
    return load_secrets(environ, Path(".env"), settings.venue)


def addresses_of(settings: Settings, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the configured addresses of the channels in use, by name."""
    return load_addresses(environ, Path(".env"), [channel.name for channel in settings.notify.in_use()])


def chat_token(environ: Mapping[str, str]) -> str | None:
    """Return the token of the Telegram bot, or None if it isn't set."""
    return load_chat_token(environ, Path(".env"))


class FlowTalk(NamedTuple):
    """What is needed for calls to the flow source.

    `now` returns trading time, `let_pass` advances the sandbox's time, `heard` is called with each reply, and
    `engine_time_of` returns the engine's time in a reply, if any.
    """

    now: Callable[[], datetime]
    let_pass: Callable[[float], object]
    heard: Callable[[HttpReply], None]
    engine_time_of: Callable[[HttpReply], datetime | None]


def flow_source_of(settings: Settings, url: str | None, key: str | None, folder: Path, talk: FlowTalk) -> UnusualWhales:
    """Return the flow source at an address; raise OperatorError if its key isn't set."""
    from tradebot.adapters.flow.unusual_whales import UnusualWhales

    if not url or not key:
        raise OperatorError(
            "options flow is NOT CONFIGURED: UW_API_KEY is not set",
            "set UW_API_KEY in the environment or in .env; without a key, the bot never makes up flow",
        )
    own_time = settings.mode is Mode.SANDBOX
    return UnusualWhales(
        url,
        key,
        # Real sources count by real time, which this machine knows without a request.
        now=talk.now if own_time else lambda: datetime.now(UTC),
        sleep=talk.let_pass if own_time else time.sleep,
        allowance=allowance_of(settings),
        quota_file=folder / state_folder.FLOW_QUOTA,
        heard=talk.heard,
        told_at=talk.engine_time_of,
    )


def drift_tally(events: JsonlEvents, stamp_time: Callable[[], datetime]) -> DriftTally:
    """Create the tally of differences between the venue's replies and the known format; it logs each new difference."""
    from tradebot.adapters.wire.json_fields import DriftTally

    def note(drift: FieldDrift) -> None:
        details = {"kind": drift.kind, "field": drift.field, "problem": drift.problem}
        events.emit(EventKind.ANSWER_DIFFERS.at(stamp_time(), details))

    return DriftTally(note)


def require_sending(settings: Settings) -> None:
    """Raise OperatorError if the bot is in shadow."""
    if settings.shadow:
        raise OperatorError(
            "this bot is in shadow: it sends nothing",
            "set shadow: false in its configuration, or use a bot that trades",
            code=ExitCode.REFUSED,
        )
