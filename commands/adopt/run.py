"""Mark a foreign position as known or take it over, and say what the exit rules would do with it."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.shared.ask_strategies import under_pass_lock
from commands.shared.light_helpers import clean
from commands.shared.number_format import usd
from commands.shared.pass_reports import begin
from commands.shared.times import when
from commands.shared.universe import symbol_named
from commands.shared.verb_options import Report, confirm_for, console
from tradebot.exits.exit_rule import WatchedPosition
from tradebot.exits.rules import triggered_reason
from tradebot.model.position import ADOPTED, Lot, Position
from tradebot.model.record import Job
from tradebot.model.sentences import pluralize
from tradebot.reconciliation.adoption import ForeignPart, acknowledge, broker_position, manage
from tradebot.views.holdings import FOREIGN_OWNER

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.account import BrokerPosition
    from tradebot.reconciliation.reconcile import Reconciled


class Adopted(Struct, frozen=True):
    """A position that was marked as known or taken over: signed shares, and the broker's average price in USD.

    `findings` counts the remaining differences between books and broker. If the broker's last price already meets an
    exit rule, the next exit pass closes the position, and `closes` names that rule.
    """

    at: datetime
    symbol: str
    quantity: Decimal
    average_price: Decimal
    managed: bool
    strategy: str
    closes: str | None
    findings: int


def run(app: "App", symbol: str, *, take_over: bool, by: str, confirmed: str | None) -> Report:
    """Mark the foreign position in a symbol as known or take it over, then compare the books with the broker.

    Raises OperatorError: exit 2 if the broker has no such position or nothing was confirmed; 3 if the books of that
    symbol differ from the broker's, if the position changed since it was shown, if someone else's order is working on
    it, or if the bot doesn't trade instruments of its kind.
    """
    symbol = symbol_named(app.driver, symbol)
    position = broker_position(app.reader.view(), symbol)
    closes = _met_already(app, position) if take_over else None
    if take_over:
        _confirm(app, position, closes, confirmed)

    def work() -> "tuple[ForeignPart, Reconciled]":
        begin(app, Job.RECONCILE, by)
        undisturbed = app.turns.without_yielding
        if take_over:
            return manage(app.reader, app.ledger, symbol, by, position.quantity, undisturbed)
        return acknowledge(app.reader, app.ledger, symbol, by, undisturbed)

    adopted, after = under_pass_lock(app, "adopt", work)
    data = Adopted(
        at=after.at,
        symbol=symbol,
        quantity=adopted.quantity,
        average_price=adopted.average_price,
        managed=take_over,
        strategy=ADOPTED if take_over else FOREIGN_OWNER,
        closes=closes,
        findings=len(after.findings),
    )
    return Report("adopt", data, _render)


def _met_already(app: "App", broker_position: "BrokerPosition") -> str | None:
    if broker_position.market_value is None:
        return None
    opened = app.folder.created_at
    position = Position(
        "",
        broker_position.symbol,
        (Lot(broker_position.quantity, broker_position.average_price, opened),),
        Decimal(0),
        opened,
    )
    price = broker_position.market_value / broker_position.value_at(Decimal(1))
    return triggered_reason(
        WatchedPosition(position, broker_position.average_price), price, app.rules.exits_of(ADOPTED)
    )


def _confirm(app: "App", position: "BrokerPosition", closes: str | None, confirmed: str | None) -> None:
    screen = console(err=True)
    screen.print(
        f"The broker holds {position.quantity:,f} {position.symbol} "
        f"at {usd(position.average_price, position.symbol)} USD",
        markup=False,
    )
    if closes:
        screen.print(f"Its price already triggers {closes}, so the next evaluate-exits would close it", markup=False)
    what, command = (
        f"Letting the bot's exit rules close {position.symbol}",
        f"tradebot adopt {position.symbol} --manage",
    )
    confirm_for(app, confirmed, what=what, command=command, word=position.symbol)


def _render(console: "Console", data: Adopted) -> None:
    what = f"{data.quantity:,f} {clean(data.symbol)} at {usd(data.average_price, data.symbol)} USD"
    if data.managed:
        console.print(f"{what}: now managed by the bot, as strategy {data.strategy}", markup=False)
        console.print("  the exit rules apply from now on; tradebot positions shows how near each one is")
        if data.closes:
            console.print(f"  [yellow]{data.closes} is already triggered[/yellow]: the next evaluate-exits closes it")
    else:
        console.print(
            f"{what}: marked as known; it counts against the limits, and the bot leaves it alone", markup=False
        )
        console.print(f"  tradebot adopt {clean(data.symbol)} --manage lets the exit rules close it", markup=False)
    differ = f"they differ ({pluralize(data.findings, 'finding')}). Next: tradebot reconcile"
    console.print(f"Books and broker at {when(data.at)}: {differ if data.findings else 'they agree'}")
