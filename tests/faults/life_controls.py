"""Bots that are broken on purpose, one for each promise that lives are judged by; the judge has to see every one."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from tradebot import cycle
from tradebot.exits import rules
from tradebot.model import totals
from tradebot.model.intent import Intent
from tradebot.model.order import Order
from tradebot.model.position import OwnedFill, Position, add
from tradebot.model.record import CandidateRecord
from tradebot.model.values import replace
from tradebot.orders import entering, protecting
from tradebot.orders.changes import edit_intent


def profit_sign_inverted_for_shorts() -> None:
    """Books count what a short made as lost."""

    def wrong(before: Position, owned: OwnedFill) -> Position:
        after = add(before, owned)
        made = after.realized_pnl - before.realized_pnl
        return replace(after, realized_pnl=before.realized_pnl - made) if before.quantity < 0 else after

    vars(totals)["add"] = wrong


def stops_move_away() -> None:
    """Each pass moves resting stops a little away from profit."""
    usual = edit_intent

    def looser(
        call: Any, desk: Any, promised: Intent, order: Order, shares: Decimal, stop: Decimal, why: str
    ) -> Intent:
        assert order.stop_price is not None, "what isn't known isn't moved"
        away = order.stop_price * (1 - Decimal("0.01") * -order.side.sign)
        away = protecting.on_tick(desk.listings[order.symbol], away, order.side)
        return usual(call, desk, promised, order, shares, away, why)

    vars(protecting)["_is_looser"] = lambda pair, *_: bool(pair.stop and pair.stop.stop_price) and not pair.exiting
    vars(protecting)["edit_intent"] = looser


def nothing_rests() -> None:
    """Nothing is placed at the venue, whatever the configuration says."""

    def none(*_: object) -> Iterator[CandidateRecord]:
        return iter(())

    vars(cycle)["protect"] = none


def exits_for_more() -> None:
    """Exits are for twice the shares, and the venue is asked to open what is beyond them."""
    usual = vars(protecting)["protectable"]
    vars(protecting)["protectable"] = lambda *given: 2 * usual(*given)


def first_rule_counts() -> None:
    """Of several rules that fire, the one that is listed first counts."""
    vars(rules)["_strength"] = lambda fired: True


def entries_without_a_yes() -> None:
    """Entries go out whether or not a person has said yes."""
    vars(entering)["consent"] = lambda *_: entering.Consent()


CONTROLS: Mapping[str, Callable[[], None]] = {
    control.__name__.replace("_", "-"): control
    for control in (
        profit_sign_inverted_for_shorts,
        stops_move_away,
        nothing_rests,
        exits_for_more,
        first_rule_counts,
        entries_without_a_yes,
    )
}
