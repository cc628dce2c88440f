"""Connect to Interactive Brokers: the Gateway's address, and the checks of `doctor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.errors import OperatorError
from tradebot.judging.judgment import HealthState
from tradebot.model.intent import is_our_order_id
from tradebot.venues.door import Access, Checks, Rehearsal, VenueCheck, VenueDriver, VenueSettings
from tradebot.venues.ibkr import reader as statement
from tradebot.venues.ibkr.capabilities import CLIENT_ID, IBKR, KEYS, PORT
from tradebot.venues.ibkr.contracts import months_of, oddity_of, root_of, symbol_of
from tradebot.venues.ibkr.link import LOOPBACK, IbkrConnection, IbkrVenue, connection_address, shared_link
from tradebot.venues.ibkr.news import IbkrNews
from tradebot.venues.ibkr.orders import IbkrOrders
from tradebot.venues.ibkr.prices import IbkrBars
from tradebot.venues.ibkr.reader import IbkrReader

if TYPE_CHECKING:
    from papervenue.market.venue import Venue

_RECENT, FACE = timedelta(hours=2), "tws"


def door() -> VenueDriver:
    """Return the driver of Interactive Brokers."""
    own = {"socket": _socket, "login": _login, "client_id": _client_id}
    return VenueDriver(
        capabilities=IBKR,
        keys=KEYS,
        connect=_connect,
        reader=IbkrReader,
        orders=IbkrOrders,
        bars=IbkrBars,
        checks=Checks(_bar_times, _no_renames, _market_data, PORT, own),
        market=_market,
        symbol=symbol_of,
        coin=lambda symbol: root_of(symbol).name,
        calendar=lambda symbol: root_of(symbol).calendar,
        rehearsal=Rehearsal(hours=24, unbroken_s=3_600, trades=10),
        months=months_of,
        oddity=oddity_of,
        statement=statement.read,
        headlines=IbkrNews,
    )


def _connect(access: Access) -> IbkrVenue:
    mode = access.settings.mode
    port = access.ports().get(FACE) if access.sandbox_url else None
    sandbox = None if port is None else (LOOPBACK[0], port)
    address = connection_address(mode, access.secrets, sandbox)
    # The embedded exchange has no message limit, and simulates an hour in seconds.
    link = shared_link(*address) if sandbox is None else shared_link(*address, reads_a_second=0)
    if access.folder is not None:
        link.take_turns(access.folder)
    return IbkrVenue(mode, link, access.before_read)


def _market(settings: VenueSettings) -> Venue:
    from papervenue.market.futures import futures_venue

    roots = dict.fromkeys(root_of(symbol).name for symbol in settings.universe)
    return futures_venue(settings.sandbox.start, settings.sandbox.sessions, tuple(roots))


def _bar_times(venue: IbkrVenue, tally: DriftTally, symbols: Sequence[str]) -> Mapping[str, datetime]:
    # The embedded exchange has its own time.
    now = datetime.fromtimestamp(venue.link.read(IbkrConnection.time), UTC)
    pages = IbkrBars(venue, tally).pages(symbols, "1Min", now - _RECENT, now)
    latest = {symbol: bars[-1].start_s for page in pages for symbol, bars in page.items() if bars}
    return {symbol: datetime.fromtimestamp(start_s, UTC) for symbol, start_s in latest.items()}


def _no_renames(
    venue: IbkrVenue, tally: DriftTally, symbols: Sequence[str], first: date, last: date
) -> Mapping[str, str]:
    """Return nothing: contracts aren't renamed."""
    return {}


async def _login_of(line: IbkrConnection) -> tuple[str, int]:
    return line.account, int(line.client.serverVersion())


def _socket(venue: IbkrVenue, tally: DriftTally) -> VenueCheck:
    """Report where the Gateway listens and which protocol version it speaks; a missing connection is reported by the
    broker check.
    """
    _, version = venue.link.read(_login_of)
    spoken = f"the Gateway at {venue.base_url} uses protocol version {version}"
    return VenueCheck(HealthState.OK, spoken, "handshake", fix="")


def _login(venue: IbkrVenue, tally: DriftTally) -> VenueCheck:
    """Check that the login fits the mode: paper and live trading have separate Gateways."""
    number, _ = venue.link.read(_login_of)
    try:
        venue.check_account(number)
    except OperatorError as error:
        return VenueCheck(HealthState.FAILED, error.message, "account number", fix=f"In the Gateway, {error.hint}")
    return VenueCheck(HealthState.OK, f"the login is for {venue.mode} trading", "account number")


def _client_id(venue: IbkrVenue, tally: DriftTally) -> VenueCheck:
    """Check whether the Gateway lists orders of ours under another client id: only that client can change them."""
    number = venue.place[2]
    reports = IbkrReader(venue, tally).order_reports()
    others = [
        key for key in reports.open if key not in reports.own and is_our_order_id(reports.orders[key].client_order_id)
    ]
    if others:
        fix = (
            f"Set {CLIENT_ID} to the client id that sent them, or cancel them in the Gateway; leave "
            "Master API client ID empty"
        )
        return VenueCheck(
            HealthState.FAILED, f"open orders of ours with another client id: {len(others)}", "orders", fix=fix
        )
    return VenueCheck(HealthState.OK, f"{number}, and no other client has our orders", "connection")


def _market_data(venue: IbkrVenue, tally: DriftTally, symbol: str) -> VenueCheck:
    reader = IbkrReader(venue, tally)
    if reader.quotes([symbol]):
        return VenueCheck(HealthState.OK, f"prices of {symbol} are streamed in real time", "quotes")
    fix = "Subscribe this user name to CME and COMEX, share it with the paper login, and restart the Gateway"
    return VenueCheck(HealthState.FAILED, f"{symbol}: {reader.rejected_quotes.get(symbol)}", "quotes", fix=fix)
