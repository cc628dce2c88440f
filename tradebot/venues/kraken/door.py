"""Define the driver of Kraken Futures: its keys, how to connect, and the checks of `doctor`.

It also converts common names of perpetuals to Kraken Futures' symbols and back.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from tradebot.adapters.wire.http import BodyError, WireError
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.errors import OperatorError, TemporaryError
from tradebot.judging.judgment import HealthState
from tradebot.venues.door import SANDBOX_KEY, Access, Checks, VenueCheck, VenueDriver, VenueSettings
from tradebot.venues.kraken.bars import KrakenBars
from tradebot.venues.kraken.capabilities import KEY, KEYS, KRAKEN, SECRET
from tradebot.venues.kraken.client import V3, Client, KrakenVenue, parse_error, sandbox_secret, venue_of
from tradebot.venues.kraken.orders import KrakenOrders
from tradebot.venues.kraken.reader import KrakenReader, isolated_symbols

if TYPE_CHECKING:
    from papervenue.market.venue import Venue
    from tradebot.ports.broker import AccountSignal

OF_VENUE: Mapping[str, str] = MappingProxyType({"BTC": "XBT", "XDG": "DOGE"})

"""The venue's names of coins that have another common name, by the common name."""

OF_PEOPLE: Mapping[str, str] = MappingProxyType({"XBT": "BTC", "XDG": "DOGE"})

"""The common names of these coins, by the venue's name."""

QUOTE = "USD"

_CONTRACT = re.compile(rf"(?:PF|PI|FF|FI)_([A-Z0-9]{{1,20}}){QUOTE}(?:_[0-9]{{6}})?")

"""A perpetual or an expiring contract, linear or inverse."""

_PAIR = re.compile(r"([A-Z0-9]{1,20})/([A-Z0-9]{1,20})(?::([A-Z0-9]{1,20}))?")

_COIN = re.compile(r"[A-Z0-9]{1,20}")


def symbol_of(text: str) -> str:
    """Return the perpetual's symbol for a common name: PF_XBTUSD for btc, XBT, BTC/USD or BTC/USD:USD.

    Symbols of other types of contracts are returned unchanged. Raise ValueError for a pair that isn't quoted in USD, or
    for an ambiguous name such as BTCUSD, which may be a coin's name.
    """
    name = text.strip().upper()
    if "_" in name:
        return name
    pair = _PAIR.fullmatch(name)
    if pair is not None and {pair[2], pair[3] or QUOTE} != {QUOTE}:
        raise ValueError(f"{name} isn't quoted and settled in USD, as the perpetuals here are")
    coin = pair[1] if pair else name
    if not _COIN.fullmatch(coin):
        raise ValueError(f"{name[:30]!r} is not the name of a perpetual; write PF_XBTUSD, BTC/USD or BTC")
    if pair is None and coin.endswith(QUOTE):
        raise ValueError(f"{name} may be a pair or a coin; write {coin.removesuffix(QUOTE) or 'BTC'}/USD or PF_{name}")
    return perpetual_of(coin)


def perpetual_of(coin: str) -> str:
    """Return the symbol of a coin's perpetual, from any name of the coin: PF_XBTUSD for BTC and XBT."""
    return f"PF_{OF_VENUE.get(coin, coin)}{QUOTE}"


def coin_of(text: str) -> str:
    """Return the coin of a symbol or common name: BTC for PF_XBTUSD, XBT, BTC/USD and btc.

    All contracts on a coin, including expiring ones, return the same coin. Raise ValueError unless the text means a
    single coin.
    """
    contract = _CONTRACT.fullmatch(symbol_of(text))
    if contract is None:
        raise ValueError(f"{text.strip()[:30]!r} is not a contract of a single coin in USD, such as PF_XBTUSD")
    return OF_PEOPLE.get(contract[1], contract[1])


_RECENT = timedelta(hours=2)

MICROSECONDS, FAR_AHEAD_S = 1_000_000, 60

NO_ORDER = "00000000-0000-4000-8000-000000000000"


def door() -> VenueDriver:
    """Return the driver of Kraken Futures."""
    return VenueDriver(
        capabilities=KRAKEN,
        keys=KEYS,
        connect=_connect,
        reader=KrakenReader,
        orders=KrakenOrders,
        bars=KrakenBars,
        checks=Checks(
            _bar_times, _no_renames, _data_plan, "venue", {"nonce": _nonce, "key": _may_trade, "margin": _is_shared}
        ),
        market=_market,
        bell=_account_feed,
        symbol=symbol_of,
        coin=coin_of,
        contracts=_contracts,
        in_process=True,
    )


def _market(settings: VenueSettings) -> Venue:
    from papervenue.market.coins import SYMBOLS, kraken_venue

    unknown = [symbol for symbol in settings.universe if symbol not in SYMBOLS]
    if unknown:
        raise OperatorError(
            f"the embedded exchange has no {unknown[0]} at {KRAKEN.title}",
            f"config/venues/{KRAKEN.name}.yaml lists its perpetuals",
        )
    # Discovery is pointless unless the venue lists more than the named symbols.
    discovers = settings.registry is not None and settings.registry.discovery
    recorded = settings.sandbox.source != "generated"
    return kraken_venue(settings.sandbox.seed, SYMBOLS if discovers else settings.universe, recorded=recorded)


def _contracts(venue: KrakenVenue, tally: DriftTally) -> Sequence[str]:
    return KrakenReader(venue, tally).contracts()


def _connect(access: Access) -> KrakenVenue:
    mode, secrets, url = access.settings.mode, access.secrets, access.sandbox_url
    key, secret = secrets.get("kraken_key"), secrets.get("kraken_secret")
    if url:
        key, secret = key or SANDBOX_KEY, secret or sandbox_secret(key or SANDBOX_KEY)
    if not key or not secret:
        raise OperatorError(
            f"mode {mode} needs keys: {KEY} or {SECRET} is not set",
            "set both in the environment or in .env (chmod 600 .env), then run it again; tradebot demo needs none",
        )
    return venue_of(
        mode,
        url or secrets.get("kraken_url"),
        key,
        secret,
        access.folder,
        access.before_read,
        access.heard,
        access.known,
        access.connection,
    )


def _account_feed(venue: KrakenVenue) -> AccountSignal:
    from tradebot.venues.kraken.account_feed import KrakenAccountFeed

    return KrakenAccountFeed(venue)


def _bar_times(venue: KrakenVenue, tally: DriftTally, symbols: Sequence[str]) -> Mapping[str, datetime]:
    now = KrakenReader(venue, tally).clock().now
    pages = KrakenBars(venue, tally).pages(symbols, "1Min", now - _RECENT, now)
    latest = {symbol: bars[-1].start_s for page in pages for symbol, bars in page.items() if bars}
    return {symbol: datetime.fromtimestamp(start_s, UTC) for symbol, start_s in latest.items()}


def _no_renames(
    venue: KrakenVenue, tally: DriftTally, symbols: Sequence[str], first: date, last: date
) -> Mapping[str, str]:
    """Return nothing: contracts aren't renamed."""
    return {}


def _data_plan(venue: KrakenVenue, tally: DriftTally, symbol: str) -> VenueCheck:
    return VenueCheck(HealthState.OK, "every account gets the venue's own prices", "answer")


def _nonce(venue: KrakenVenue, tally: DriftTally) -> VenueCheck:
    """Compare the last nonce with the clock: one that is far ahead shows that a clock was wrong once."""
    try:
        last = venue.nonces.last()
    except OSError as error:
        return VenueCheck(
            HealthState.FAILED, f"the last nonce can't be read: {error.strerror}", "nonce", fix="tradebot doctor"
        )
    ahead_s = last / MICROSECONDS - time.time()
    taken = f"{datetime.fromtimestamp(last / MICROSECONDS, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if ahead_s > FAR_AHEAD_S:
        finding = f"the last nonce is dated {taken}, {ahead_s:,.0f} s ahead of this machine's clock; the next is higher"
        fix = (
            "Check this machine's clock. Until the clock has caught up, a bot in a new folder can't use this"
            " key, so make another key for that bot"
        )
        return VenueCheck(HealthState.DEGRADED, finding, "nonce", fix=fix)
    return VenueCheck(HealthState.OK, f"the last nonce is dated {taken}; each is higher than the one before", "nonce")


def _may_trade(venue: KrakenVenue, tally: DriftTally) -> VenueCheck:
    """Check the key's permission: canceling an unknown order gets "not found" only if the key may trade."""
    try:
        answer = Client(venue).ask("POST", f"{V3}/cancelorder", {"order_id": NO_ORDER})
        document = answer.json()
    except (WireError, BodyError) as error:
        raise TemporaryError(f"POST {V3}/cancelorder: {error}", "tradebot doctor") from error
    permissions = document if isinstance(document, dict) else {}
    status, word = permissions.get("cancelStatus"), parse_error(permissions)
    if not word and isinstance(status, dict) and status.get("status") == "notFound":
        return VenueCheck(HealthState.OK, "the key may read and trade", "answer")
    fix = "Make a key that may read and trade, but not withdraw"
    return VenueCheck(HealthState.FAILED, f"the key may not trade: {word or answer.excerpt}", "answer", fix=fix)


def _is_shared(venue: KrakenVenue, tally: DriftTally) -> VenueCheck:
    """Find symbols with isolated margin: liquidation prices are computed as if all positions shared the collateral."""
    isolated = isolated_symbols(Client(venue), tally)
    if not isolated:
        return VenueCheck(HealthState.OK, "all positions share the account's collateral", "answer")
    names = ", ".join(sorted(isolated))
    finding = (
        f"isolated margin is on for {names}, so the broker would liquidate a position long before the price"
        " that is shown"
    )
    fix = "Set them to cross margin on Kraken Futures' website; until then, nothing is opened in them"
    return VenueCheck(HealthState.DEGRADED, finding, "answer", fix=fix)
