"""Random commands on the engine and on a slow, obvious model of it: both must say and do the same at every step.

`make campaigns` plays many more of them.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from decimal import Decimal
from typing import NamedTuple, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from exchange.tests.kit.random_commands import CENT, FIRST_PRICE, SYMBOLS, Walk
from exchange.tests.obvious_model import ObviousExchange
from exchange.tests.obvious_slips import ONE, Candle, Halt, Hours, Refused, Slip
from exchange.tests.random_trading import BEGINNINGS, CASH, SIDES, Trading
from papervenue.engine.orders import Order, OrderRequest, Replacement
from papervenue.market.actions import DIVIDEND, FORWARD_SPLIT, REVERSE_SPLIT, Action, before_trading
from papervenue.market.bars import usd
from papervenue.market.spec import CLOSE, NEXT_BAR, NEXT_OPEN, PAPER, Costs
from papervenue.refusal import Refusal
from papervenue.shares.actions import schedule
from papervenue.times import SECOND
from tests.suite.tiers import sized

Answer = TypeVar("Answer")

IN_THE_SAMPLE = 0.4
"""What part of the suite's examples the sample plays; the campaigns play all of theirs."""


class Pair(NamedTuple):
    """An order of the engine and the model's."""

    order: Order
    slip: Slip


class Halted(Container[str]):
    """The symbols that do not trade now."""

    def __init__(self, trading: AgainstTheModel) -> None:
        self._trading = trading

    def __contains__(self, symbol: object) -> bool:
        return self._trading.model.halted(str(symbol), self._trading.engine.now_us)


class AgainstTheModel(Trading):
    """The same commands on the model, and the same of everything."""

    @initialize(seed=st.integers(0, 10**6), minute=BEGINNINGS)
    def begin(self, seed: int, minute: int) -> None:
        super().begin(seed, minute)
        hours = [Hours(s.pre_us, s.open_us, s.close_us, s.post_us) for s in self.calendar.all]
        first = dict.fromkeys(SYMBOLS, usd(FIRST_PRICE))
        candles = _candles(self.source)
        self.model = ObviousExchange(candles, hours, self.engine.now_us, first, self.engine.latency_us)
        for name, cash in CASH.items():
            self.model.open_account(name, cash)
        self.pairs: list[Pair] = []

        self.engine.halted = Halted(self)

    @precondition(lambda self: len(self.asked) % 6 == 5)
    @rule(symbol=st.sampled_from(SYMBOLS), seconds=st.sampled_from([15, 60, 90, 300]))
    def halt(self, symbol: str, seconds: int) -> None:
        now_us = self.engine.now_us
        self.model.halts.append(Halt(symbol, now_us, now_us + seconds * SECOND))

    def submit(self, owner: str, wish: OrderRequest) -> Order | Refusal:
        answer = super().submit(owner, wish)
        self._same(answer, answer_or_refusal(lambda: self.model.submit(owner, wish)))
        return answer

    def _same(self, answer: Order | Refusal, theirs: Slip | Refused) -> None:
        if isinstance(theirs, Refused):
            assert isinstance(answer, Refusal), f"the model refuses: {theirs.phrase}"
            assert answer.body["code"] == theirs.code
            assert theirs.phrase in answer.body["message"]
        elif isinstance(answer, Order):
            self.pairs += [Pair(o, s) for o, s in zip([answer, *answer.legs], [theirs, *theirs.legs], strict=True)]
        else:
            raise AssertionError(f"the engine refuses: {answer}")

    def cancel(self, order: Order) -> Refusal | None:
        answer = super().cancel(order)
        theirs = answer_or_refusal(lambda: self.model.cancel(self._slip(order)))
        if isinstance(theirs, Refused):
            assert answer is not None, f"the model refuses: {theirs.phrase}"
            assert theirs.phrase in answer.body["message"]
        else:
            assert answer is None
        return answer

    def _slip(self, order: Order) -> Slip:
        return next(pair.slip for pair in self.pairs if pair.order is order)

    def replace(self, order: Order, wanted: Replacement) -> Order | Refusal:
        old = self._slip(order)
        wish = order.request._replace(
            qty=wanted.qty or order.request.qty,
            limit=wanted.limit or order.request.limit,
            stop=wanted.stop or order.request.stop,
        )
        answer = super().replace(order, wanted)
        self._same(answer, answer_or_refusal(lambda: self.model.replace(old, wish)))
        return answer

    def journal(self, owner: str, symbol: str, qty: Decimal) -> None:
        super().journal(owner, symbol, qty)
        self.model.journal(owner, symbol, qty)

    def tick(self, to_us: int) -> None:
        super().tick(to_us)
        self.model.tick(to_us)

    @invariant()
    def every_order_stands_as_in_the_model(self) -> None:
        for order, slip in self.pairs:
            theirs, mine = (order.status, order.filled_qty, order.filled_usd), (slip.status, slip.filled, slip.spent)
            assert theirs == mine, f"{theirs} in the engine, {mine} in the model: {order.request}"
            assert order.qty == slip.qty
            if order.stop is not None and slip.stop is not None:
                assert usd(order.stop) == slip.stop

    @invariant()
    def the_same_fills_have_happened_in_the_same_order(self) -> None:
        known = {id(pair.slip): pair.order.id for pair in self.pairs}
        mine = [(e.at_us, known[id(e.slip)], e.qty, e.price) for e in self.model.executions]
        theirs = [
            (e.at_us, e.fields["order_id"], Decimal(e.fields["fill_qty"]), Decimal(e.fields["price"]))
            for e in self.fills()
        ]
        assert theirs == mine

    @invariant()
    def every_account_is_worth_and_holds_what_the_model_says(self) -> None:
        for name, account in self.accounts.items():
            assert account.cash == self.model.accounts[name].cash
            assert account.reserved == self.model.reserved(name)
            assert self.engine.buying_power(account) == self.model.buying_power(name)
            for symbol in SYMBOLS:
                assert account.qty(symbol) == self.model.accounts[name].of(symbol)
                assert account.claimed_shares(symbol) == self.model.claimed(name, symbol)


def answer_or_refusal(ask: Callable[[], Answer]) -> Answer | Refused:
    try:
        return ask()
    except Refused as refused:
        return refused


def _candles(source: Walk) -> list[Candle]:
    return [
        Candle(symbol, bar.start_us, usd(bar.open), usd(bar.high), usd(bar.low), usd(bar.close), bar.volume, regular)
        for symbol in SYMBOLS
        for index in (0, 1)
        for regular, bars in ((True, source.bars(symbol, index)), (False, source.extended_hours(symbol, index)))
        for bar in bars
    ]


class OnTheWay(AgainstTheModel):
    """The same, with cancels and replacements that are on their way while bars come and sessions end."""

    spec = NEXT_BAR._replace(latency_s=45)

    @rule(symbol=st.sampled_from(SYMBOLS), side=SIDES, qty=st.sampled_from([5, 12, 40]), near=st.integers(-3, 9))
    def send_near(self, symbol: str, side: int, qty: int, near: int) -> None:
        """Send an order that soon fills, most often in parts."""
        limit = self.last(symbol) + side * near * CENT
        self.submit("rich", OrderRequest(symbol, side, "limit", "gtc", Decimal(qty), None, limit))

    @precondition(lambda self: self.replaceable())
    @rule(back=st.integers(0, 3), more=st.integers(-20, 20), near=st.integers(-3, 9))
    def change_a_late_one(self, back: int, more: int, near: int) -> None:
        """Change one of the newest orders: its shares by so many, its prices to near the market."""
        choice = self.replaceable()
        order = choice[-1 - back % len(choice)]
        size = None
        if order.request.order_class == "simple" and order.qty is not None and not order.qty % 1 and more:
            size = max(ONE, order.qty + more)
        price = self.last(order.symbol) + order.side * near * CENT
        limit = price if order.request.limit is not None else None
        stop = price if order.request.stop is not None else None
        self.replace(order, Replacement(size, limit, stop, None, None, None))

    @precondition(lambda self: self.on_the_way())
    @rule(which=st.integers(0, 5))
    def call_back_on_the_way(self, which: int) -> None:
        choice = self.on_the_way()
        self.cancel(choice[which % len(choice)])

    def on_the_way(self) -> list[Order]:
        """Return the orders that are being replaced, and those that are to replace them."""
        pairs = [(order, order.replacement) for order in self.live() if order.replacement is not None]
        return [order for pair in pairs for order in pair]


class OnPaper(Trading):
    """The paper model, whose chance the obvious model does not know: its laws alone."""

    spec = PAPER._replace(partial_rate=Decimal("0.5"))


class OnThinPaper(Trading):
    """The paper model with a bound on every quote and every bar."""

    spec = PAPER._replace(depth_share=Decimal("0.2"), volume_share=None, latency_s=20)


CHARGED = Costs(
    commission_bps=Decimal(10),
    commission_per_share_usd=Decimal("0.005"),
    commission_min_usd=Decimal(1),
    margin_rate=Decimal("0.4"),
    cash_rate=Decimal("0.3"),
    borrow_fee_rate=Decimal("0.9"),
    short_rebate_rate=Decimal("0.2"),
)


class AtTheOpen(Trading):
    """The whole size at the open, with slippage and all costs."""

    spec = NEXT_OPEN._replace(slippage_bps=Decimal(7), volume_share=None)
    costs = CHARGED


class AtTheClose(Trading):
    """The whole size at the last close, with all costs and without a spread."""

    spec = CLOSE._replace(quotes="last", volume_share=None)
    costs = CHARGED


class ThroughActions(Trading):
    """Dividends and splits at the second session, which the obvious model does not know either."""

    @precondition(lambda self: self.engine.now_us < self.calendar.market[1].pre_us - 1)
    @rule(
        symbol=st.sampled_from(SYMBOLS),
        kind=st.sampled_from([DIVIDEND, FORWARD_SPLIT, REVERSE_SPLIT]),
        rate=st.sampled_from(["0.004", "0.125", "1.5"]),
        ratio=st.sampled_from([("2", "1"), ("3", "2"), ("7", "3")]),
    )
    def announce(self, symbol: str, kind: str, rate: str, ratio: tuple[str, str]) -> None:
        session = self.calendar.market[1]
        new, old = map(Decimal, ratio if kind == FORWARD_SPLIT else ratio[::-1])
        action = Action(kind, symbol, session.date, before_trading(session), self.engine.now_us, session.date)
        action = (
            action._replace(rate=Decimal(rate)) if kind == DIVIDEND else action._replace(new_rate=new, old_rate=old)
        )
        self.engine.market.announce(action)
        schedule(self.engine, action)


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("machine", "share"),
    [
        (AgainstTheModel, 1.0),
        (OnTheWay, 3.0),
        (OnPaper, 0.4),
        (OnThinPaper, 0.4),
        (ThroughActions, 0.4),
        (AtTheOpen, 0.3),
        (AtTheClose, 0.3),
    ],
)
def test_random_commands_keep_the_laws_and_agree_with_the_model(machine: type[Trading], share: float) -> None:
    profile = settings()
    examples = int(profile.max_examples * sized(min(share, 1) * IN_THE_SAMPLE, share))
    run_state_machine_as_test(
        machine, settings=settings(profile, max_examples=examples, stateful_step_count=40, database=None)
    )
