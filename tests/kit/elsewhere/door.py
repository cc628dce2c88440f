"""The way to Elsewhere, as a package brings it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from tests.kit.elsewhere import place
from tests.kit.elsewhere.adapter import BRACKETS, ELSEWHERE, Connection, ElsewhereBars, ElsewhereOrders, ElsewhereReader
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.errors import OperatorError
from tradebot.judging.judgment import HealthState
from tradebot.model.venue import Capabilities
from tradebot.venues.door import SANDBOX_KEY, Access, Checks, Key, VenueCheck, VenueDriver


def with_brackets() -> VenueDriver:
    """Return the way to the one with brackets."""
    return door(BRACKETS)


def door(can: Capabilities = ELSEWHERE) -> VenueDriver:
    """Return it."""
    checks = Checks(
        _bar_times,
        lambda connection, tally, symbols, first, last: {},
        lambda connection, tally, symbol: VenueCheck(HealthState.OK, "all prices are real", "answer"),
        "nothing",
    )
    keys = (Key("elsewhere_key", ("ELSEWHERE_KEY",)),)
    ports = (ElsewhereReader, ElsewhereOrders, ElsewhereBars)
    return VenueDriver(
        can, keys, partial(connect, can), *ports, checks, lambda settings: place.played(settings.universe)
    )


def _bar_times(connection: Connection, tally: DriftTally, symbols: Sequence[str]) -> Mapping[str, datetime]:
    now = ElsewhereReader(connection, tally).clock().now
    pages = ElsewhereBars(connection, tally).pages(symbols, "1Min", now - timedelta(hours=1), now)
    latest = {symbol: bars[-1].start_s for page in pages for symbol, bars in page.items() if bars}
    return {symbol: datetime.fromtimestamp(start_s, UTC) for symbol, start_s in latest.items()}


def connect(can: Capabilities, access: Access) -> Connection:
    """Return the connection to the embedded exchange: there is no other place that plays Elsewhere."""
    if access.sandbox_url is None:
        raise OperatorError("Elsewhere is only played by the embedded exchange", "use mode sandbox")
    key = access.secrets.get("elsewhere_key") or SANDBOX_KEY
    return Connection(access.sandbox_url, key, access.before_read, access.heard, can=can)
