"""`tradebot adopt`: note a position the bot didn't open as known, or take it over with --manage.

Nothing here can send an order: the order port is never made.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completing import strangers
from commands.shared.drawing import usd
from commands.shared.plain import clean
from commands.shared.surface import Config, Json, Report, StateDir, caller, confirm_for, console, finish, opened
from commands.shared.times import when
from tradebot.text import counted

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.account import BrokerPosition


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of a foreign position: signed shares, the broker's average price in USD.

    `findings` counts what still differs between books and broker; `closes` names the exit rule that the broker's last
    price meets already, so that the next pass of exits would close it.
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
    """Note or take over the foreign position in a symbol, then compare the books with the broker.

    Raises OperatorError: exit 2 where the broker holds none of it or nothing was confirmed, 3 where the books differ
    from the broker there, the position moved since it was shown, an order that is not the bot's works on it, or it is
    of a kind that is not traded.
    """
    from commands.shared.passes import begin
    from tradebot.model.position import ADOPTED
    from tradebot.model.record import Job
    from tradebot.reconciliation.adoption import acknowledge, broker_position, manage
    from tradebot.views.holdings import FOREIGN_OWNER

    there = broker_position(app.reader.view(), symbol)
    closes = _met_already(app, there) if take_over else None
    if take_over:
        _confirm(app, there, closes, confirmed)
    with app.pass_lock("adopt"):
        begin(app, Job.RECONCILE, by)
        if take_over:
            found, after = manage(app.reader, app.ledger, symbol, by, there.quantity)
        else:
            found, after = acknowledge(app.reader, app.ledger, symbol, by)
    data = Adopted(
        at=after.at,
        symbol=symbol,
        quantity=found.quantity,
        average_price=found.average_price,
        managed=take_over,
        strategy=ADOPTED if take_over else FOREIGN_OWNER,
        closes=closes,
        findings=len(after.findings),
    )
    return Report("adopt", data, lambda console: _render(console, data), mode=app.mode_name, account=app.account_tail)


def _met_already(app: "App", there: "BrokerPosition") -> str | None:
    """Return the exit rule that the broker's last price already meets; None without one, or without a price."""
    from tradebot.exits.rules import Held
    from tradebot.model.position import Lot, Position

    if there.market_value is None:
        return None
    opened = app.folder.created_at
    position = Position("", there.symbol, (Lot(there.quantity, there.average_price, opened),), Decimal(0), opened)
    gain = Held(position, there.average_price).gain(there.market_value / there.quantity)
    rules = app.rules.exits
    if gain <= -rules.stop_loss_fraction:
        return "STOP_LOSS"
    return "PROFIT_TARGET" if gain >= rules.profit_target_fraction else None


def _confirm(app: "App", there: "BrokerPosition", closes: str | None, confirmed: str | None) -> None:
    screen = console(err=True)
    screen.print(f"The broker holds {there.quantity:,f} {there.symbol} at {usd(there.average_price)} USD", markup=False)
    if closes:
        screen.print(f"Its price meets {closes} already: the next evaluate-exits would close it", markup=False)
    what, command = f"Letting the bot's exit rules close {there.symbol}", f"tradebot adopt {there.symbol} --manage"
    confirm_for(app, confirmed, what=what, command=command, word=there.symbol)


def _render(console: "Console", data: Adopted) -> None:
    what = f"{data.quantity:,f} {clean(data.symbol)} at {usd(data.average_price)} USD"
    if data.managed:
        console.print(f"{what}: now the bot's own, under the name {data.strategy}", markup=False)
        console.print("  its exit rules count from now; tradebot positions shows where each stands")
        if data.closes:
            console.print(f"  [yellow]{data.closes} is met already[/yellow]: the next evaluate-exits closes it")
    else:
        console.print(f"{what}: recorded as foreign; it counts against the limits and is left alone", markup=False)
        console.print(
            f"  tradebot adopt {clean(data.symbol)} --manage would let the exit rules close them", markup=False
        )
    differ = f"they differ ({counted(data.findings, 'finding')}): tradebot reconcile"
    agree = differ if data.findings else "they agree"
    console.print(f"Books and broker at {when(data.at)}: {agree}")


def register(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command("adopt", epilog="tradebot adopt MSFT\ntradebot adopt MSFT --manage")
    def adopt(
        symbol: Annotated[str, typer.Argument(help="Symbol of the position.", autocompletion=strangers)],
        manage: Annotated[bool, typer.Option("--manage", help="Take it over: exit rules will close it.")] = False,
        confirmed: Annotated[
            str | None, typer.Option("--confirm", help="Type the symbol here if there is no terminal.")
        ] = None,
        state_dir: StateDir = None,
        config: Config = None,
        as_json: Json = False,
    ) -> None:
        """Acknowledge a position that the bot did not open.

        With --manage the bot takes it over, and its exit rules will close it.
        """
        with opened(state_dir, config) as bot:
            report = run(bot, symbol.strip().upper(), take_over=manage, by=caller(), confirmed=confirmed)
        finish(report, as_json)
