"""A venue that another package brings, installed into a folder without pip: it answers from constants."""

from pathlib import Path

PACKAGE = "tradebot_madeup"
MODULE = '''
"""A venue that trades around the clock, and answers from constants."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from tradebot.adapters.alpaca.capabilities import ALPACA
from tradebot.app.venues import Checks, Door, Key, Look
from tradebot.errors import OperatorError
from tradebot.judging.judgment import State
from tradebot.model.account import Account, BrokerView
from tradebot.model.bar import Session, VenueClock
from tradebot.model.order import OrderType
from tradebot.model.values import replace
from tradebot.model.venue import ClientIds, Edit, Pairs

CAN = replace(
    ALPACA,
    name="madeup",
    title="Made-up",
    order_types=frozenset({OrderType.LIMIT}),
    client_ids=ClientIds.WHILE_OPEN,
    edit=Edit.NONE,
    pairs=Pairs.TWO_ORDERS,
    short_reserve=Decimal(1),
)


class Connection:
    base_url, feed = "https://madeup.example", "its own"

    def __init__(self, access):
        if not access.secrets.get("madeup_key"):
            raise OperatorError("MADEUP_KEY is not set", "set MADEUP_KEY")


class Reader:
    capabilities = CAN
    rejected_quotes, unreadable_fills = {}, 0

    def clock(self):
        now = datetime.now(UTC)
        return VenueClock(now, True, now + timedelta(days=1), now + timedelta(hours=8))

    def account(self):
        cash = Decimal(5000)
        return Account("MADE0042", "ACTIVE", cash, cash, cash, cash, ())

    def view(self):
        return BrokerView(self.account(), (), ())

    def calendar(self, start, end):
        return []

    def quotes(self, symbols):
        return {}


def door():
    checks = Checks(
        lambda connection, tally, symbols: {},
        lambda connection, tally, symbols, first, last: {},
        lambda connection, tally, symbol: Look(State.OK, "all prices are real", "answer"),
        "nothing",
    )
    return Door(
        CAN,
        (Key("madeup_key", ("MADEUP_KEY",)),),
        Connection,
        lambda connection, tally: Reader(),
        lambda connection, tally: None,
        lambda connection, tally: None,
        checks,
    )
'''


def install(folder: Path, name: str = "madeup") -> None:
    """Install the package into a folder, under this name of a venue."""
    (folder / f"{PACKAGE}.py").write_text(MODULE)
    info = folder / f"{PACKAGE}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tradebot.venues]\n{name} = {PACKAGE}:door\n")
