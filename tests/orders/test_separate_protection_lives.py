"""No drawn life of a position breaks a promise at a venue without pairs, and bots that break one are caught.

The venue's own log is the judge (`lived_apart`).
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from papervenue.market.sessions import build_calendar
from tests.kit.core.apart import FATES, REFUSED, ZERO, BotApart, capabilities
from tests.kit.judge.gaps import CHANGING, ENDED, TRIGGERS, Lots
from tests.kit.judge.protection import BEGAN, FOREVER, Law, Pass, Told
from tests.kit.values import DAY
from tests.suite.tiers import in_campaigns, seed, sized
from tradebot.adapters.ledger import fills_and_cash
from tradebot.exits.rules import parse
from tradebot.model.candidate import Purpose, Side
from tradebot.model.event import EventKind
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import Order, OrderStatus, WriteOutcome
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.model.venue import Capabilities, ClientIds, Edit, Pairs
from tradebot.orders import amendments, close_orders, protection_plan, separate_protection, working_orders
from tradebot.ports.broker import BrokerReader

# What may befall a position whose stops and targets rest apart, and what the venue's own log says of it.
#
# A life is a list of steps. A bot at a venue plays it, and is judged after each pass: by the law of protection, and by
# what no request may do. Times stand still during a pass, so the order of the log's lines tells what came first.

SESSIONS = build_calendar(DAY, 2)
Line = Mapping[str, Any]
Step = tuple[Any, ...]
Life = tuple[Side, str, list[tuple[Step, Step]]]
"""The side of the entry, how much of it fills, and what befalls the position, with a pass after each."""
PARTS = {"one": Decimal(1), "half": Decimal(5), "all": Decimal(1_000)}
WHAT: Mapping[str, Callable[[BotApart], list[Order]]] = {
    "entry": lambda bot: bot.venue.working(Purpose.OPEN),
    "stop": lambda bot: [order for order in bot.venue.stops() if order.status.value in (*TRIGGERS, *CHANGING)],
    "target": lambda bot: bot.venue.targets(),
    "exit": lambda bot: bot.venue.working(Purpose.CLOSE, Purpose.REDUCE),
}
MARKED = st.sampled_from([(), (), *((fate,) for fate in FATES), *(("", fate) for fate in FATES)])
EVENTS = st.one_of(
    *[st.tuples(st.just("fill"), st.sampled_from(["target", "stop", *WHAT]), st.sampled_from(sorted(PARTS)))] * 3,
    *[st.tuples(st.just("price"), st.sampled_from(["100", "100.6", "101.5", "102", "103", "97"]))] * 2,
    st.tuples(st.just("whip"), st.sampled_from(sorted(PARTS)), st.sampled_from(["stop", "exit"])),
    st.tuples(st.just("suspend")),
    st.tuples(st.just("state"), st.sampled_from(list(TradingState))),
    st.tuples(st.just("flatten"), MARKED),
    st.tuples(st.just("enter"), st.sampled_from(list(Side)), st.integers(3, 10)),
    st.tuples(st.just("catch_up")),
    st.tuples(st.just("rules"), st.sampled_from(["0.015", "0.02", "0.03"])),
    st.tuples(st.just("wait")),
)
PASSES = st.tuples(st.just("exits"), MARKED, st.sampled_from([20, 60, 60, 120]))
STEPS = st.tuples(EVENTS, st.one_of(PASSES, PASSES, PASSES, st.just(("wait",))))
LIVES = st.tuples(st.sampled_from(list(Side)), st.sampled_from(["half", "all", "all"]), st.lists(STEPS, max_size=8))
FILLED: Step = ("fill", "exit", "all")
CALM_LIFE: Sequence[Step] = (
    ("catch_up",),
    *(("exits", (), 60), FILLED, ("exits", (), 900), FILLED) * 2,
    *(("exits", (), 60),) * 2,
)
"""Exits fill by and by, and what is refused twice is asked for again after a quarter of an hour."""


def lived(can: Capabilities, side: Side, filled: str, drawn: Sequence[tuple[Step, Step]]) -> list[str]:
    """Play a life from its entry on, and return the promises that were broken in it."""
    judge = Judge(BotApart(can))
    # Where ids don't prove what became of a request, the venue's history does, before the next pass.
    judge.bot.venue.has_history = can.client_ids is not ClientIds.UNIQUE
    judge.bot.enter(side)
    steps = [step for pair in drawn for step in pair]
    for step in (("fill", "entry", filled), ("exits", (), 20), *steps, *CALM_LIFE):
        judge.befall(*step)
        if judge.problems:
            return [f"{step}: {problem}" for problem in judge.problems]
    return [*judge.at_the_end(), *judge.by_the_law()]


class Judge:
    """Lets steps befall a bot, and reads the venue's log on after each."""

    def __init__(self, bot: BotApart) -> None:
        self.bot, self.problems = bot, list[str]()
        self._read, self._told, self._asked = 0, 0, 0
        self._open: dict[str, Line] = {}
        self._held = self._claimed_before = ZERO
        self._turned = self._late = self._refused = self._tells = False
        self._unanswered: dict[str, Intent] = {}
        self._killed: list[datetime] = []

    def befall(self, what: str, *given: Any) -> None:
        """Let one step befall the bot, and judge what came of it."""
        self.bot.scene.later(1)
        getattr(self, f"_{what}")(*given)
        self.read()

    def _wait(self) -> None:
        """Let a second pass."""

    def _exits(self, fates: Sequence[str], seconds: int) -> None:
        self._settle()
        self.bot.venue.fates = list(fates)
        working = "other" in self._unanswered or WHAT["entry"](self.bot) or WHAT["exit"](self.bot)
        done = self.bot.exits(seconds)
        self._after(fates, ran=done is not None)
        # What still works, or may, for the position that there was is canceled first.
        if done is not None and self._turned and not (working or any(fates)):
            works = WHAT["exit"](self.bot) or not self.bot.position
            self.problems += [] if works else ["nothing closes what filled beyond the position"]

    def _flatten(self, fates: Sequence[str]) -> None:
        self._settle()
        self.bot.venue.fates = list(fates)
        self._after(fates, ran=self.bot.flatten() is not None)

    def _after(self, fates: Sequence[str], *, ran: bool) -> None:
        if not ran:
            self._killed.append(self.bot.venue.now)
        self.bot.venue.fates = []
        self.read(by_bot=True, ran=ran)

    def _fill(self, what: str, part: str) -> None:
        for order in WHAT[what](self.bot)[:1]:
            self.bot.venue.fill(order.client_order_id, self._price(), PARTS[part])

    def _whip(self, part: str, what: str) -> None:
        """Let a target fill, and a stop or an exit too before the venue has noticed."""
        orders = [*WHAT["target"](self.bot)[:1], *WHAT[what](self.bot)[:1]]
        self.bot.venue.hears_late = True
        for order in orders:
            self.bot.venue.fill(order.client_order_id, self._price(), PARTS[part])
        self.bot.venue.hears_late, self._late = False, True
        self.read()
        self._late = False

    def _price(self, price: str | None = None) -> str:
        if price:
            self.bot.scene.price("AAPL", price)
        return f"{self.bot.venue.prices['AAPL'].bid:f}"

    def _suspend(self) -> None:
        for order in WHAT["stop"](self.bot)[:1]:
            if order.status is OrderStatus.NEW:
                self.bot.venue.suspend(order)

    def _state(self, state: TradingState) -> None:
        ledger = self.bot.scene.ledger
        ledger.set_trading_state(TradingStateRecord(state, "ada", "drawn", self.bot.venue.now))

    def _enter(self, side: Side, quantity: int) -> None:
        self.bot.enter(side, quantity)
        self.read(by_bot=True)

    def _catch_up(self) -> None:
        self.bot.venue.catch_up()

    def _rules(self, stop: str) -> None:
        others = [rule for rule in self.bot.rules if rule.name != "stop_loss"]
        self.bot.rules = (*parse([{"stop_loss": {"fraction": stop}}]), *others)

    def read(self, *, by_bot: bool = False, ran: bool = True) -> None:
        """Read what the log has since the last time."""
        events = self.bot.scene.events.emitted[self._told :]
        self._told += len(events)
        told = self._tells or any(event.event_type == BEGAN for event in events)
        for event in (event for event in events if event.event_type in (BEGAN, f"{BEGAN}_ended")):
            self._tells = event.event_type == BEGAN
        intents = self.bot.venue.asked[self._asked :]
        self._asked += len(intents)
        answers = self.bot.venue.answers[self._asked - len(intents) :]
        # An exit waits for the outcome of the cancel that it needs, and for no other.
        leaves = any(intent.purpose in (Purpose.CLOSE, Purpose.REDUCE) for intent in intents)
        for intent, outcome in zip(intents, answers, strict=True):
            problems = tuple(self._request(intent, outcome))
            self.problems += () if leaves else problems
        lines, dropped, began = self.bot.venue.log[self._read :], False, self._bare()
        self._claimed_before = self._claimed()
        self._read += len(lines)
        self._refused |= any(line.get("what") == REFUSED for line in lines)
        for line in lines:
            if "order_id" in line:
                self._line(line)
                dropped |= by_bot and self._bare() > began
        leaves |= bool(WHAT["exit"](self.bot)) or any(outcome in (None, WriteOutcome.UNKNOWN) for outcome in answers)
        leaves |= not any(intent.operation is Operation.CANCEL for intent in intents)
        # What was to be canceled before is canceled now, whatever is wanted by now.
        before = {intent.client_order_id for intent in self.bot.venue.asked[: self._asked - len(intents)]}
        leaves |= any(intent.client_order_id in before for intent in intents)
        self.problems += self._judged_drop(told=told or not ran, leaves=leaves) if dropped else ()

    def _judged_drop(self, *, told: bool, leaves: bool) -> Iterator[str]:
        """Yield what is wrong about a pass that left shares without a stop by a request of its own."""
        can = self.bot.venue.can
        if can.reduce_only:
            yield "a request left shares without a stop, where none needs to"
        elif not told:
            yield "a request left shares without a stop, and the pass didn't tell"
        elif can.edit is not Edit.NONE and not leaves and not self._refused:
            yield "a stop was canceled for another one, where the venue changes stops"

    def _line(self, line: Line) -> None:
        """Take one line in, unless it is about the stop of an entry that waits for that."""
        if line["status"] == OrderStatus.HELD:
            return
        known = self._open.get(line["order_id"])
        if line["status"] in ENDED:
            self._open.pop(line["order_id"], None)
        else:
            self._open[line["order_id"]] = {**line, "triggers": _triggers(line, known)}
        if line["event"] == "fill":
            self._filled(line, Decimal(line["position"]))
        if line["event"] == "order_accepted" and not self.bot.venue.can.reduce_only:
            # A stop that was lost may come late, for shares that are gone by now.
            again = sum(one.client_order_id == line["client_order_id"] for one in self.bot.venue.asked) > 1
            most = max(abs(self._held), self._claimed_before + (_left(line) if again else 0))
            self.problems += ["more may be closed than is held"] if self._claimed() > most else []
        if known and line["event"] == "order_restated" and known.get("stop_price"):
            moved = (Decimal(line["stop_price"]) - Decimal(known["stop_price"])) * (1 if line["side"] == "sell" else -1)
            self.problems += ["a stop was moved away from profit"] if moved < 0 else []

    def _filled(self, line: Line, held: Decimal) -> None:
        if ".OPEN." not in line["client_order_id"] and held * self._held <= 0 and held:
            self._turned = True
            clipped = self.bot.venue.can.reduce_only and not self._late
            self.problems += ["more was closed than was held"] if clipped else []
        elif held * self._held <= 0:
            self._turned = False
        self._held = held

    def _bare(self) -> Decimal:
        side = "sell" if self._held > 0 else "buy"
        stops = (line for line in self._open.values() if line.get("stop_price") and line["triggers"])
        covered = sum((_left(line) for line in stops if line["side"] == side), ZERO)
        return max(abs(self._held).to_integral_value(ROUND_FLOOR) - covered, ZERO)

    def _claimed(self) -> Decimal:
        """Return how many shares exits with stops, or with targets, may close together."""
        side = "sell" if self._held > 0 else "buy"
        ours = [
            line for line in self._open.values() if line["side"] == side and ".OPEN." not in line["client_order_id"]
        ]
        stops = sum((_left(line) for line in ours if line.get("stop_price")), ZERO)
        exits = sum((_left(line) for line in ours if ".PROTE." not in line["client_order_id"]), ZERO)
        return exits + max(stops, sum(map(_left, ours), ZERO) - stops - exits)

    def _request(self, intent: Intent, outcome: WriteOutcome | None) -> Iterator[str]:
        """Yield what is wrong about a request; those of a kind come one after the other, each with its answer.

        Where stops only reduce, a new one needn't wait for the outcome of a change of another one.
        """
        kind = "target" if intent.is_target else "stop" if intent.protects else "other"
        if kind == "stop" and intent.operation is Operation.SUBMIT and self.bot.venue.can.reduce_only:
            kind = "new stop"
        kind = kind if kind == "other" else f"{intent.side} {kind}"
        open_ = self._unanswered.get(kind)
        places = intent.operation is not Operation.CANCEL and kind != "other"
        if open_ and places and open_.client_order_id != intent.client_order_id:
            yield f"a second request about a {kind} while the first has no outcome"
        if outcome in (None, WriteOutcome.UNKNOWN):
            self._unanswered[kind] = intent
        elif open_ and open_.client_order_id == intent.client_order_id:
            del self._unanswered[kind]

    def _settle(self) -> None:
        """Let the next pass know what the venue shows of requests without an outcome."""
        venue = self.bot.venue
        for kind, intent in list(self._unanswered.items()):
            target = venue.follower(intent.target_venue_id or "")
            over = target is not None and (target.status.terminal or target.status is OrderStatus.PENDING_CANCEL)
            shown = target is not None and intent.operation is Operation.REPLACE and intent.is_shown_by(target)
            if intent.client_order_id in venue.book or over or shown or venue.has_history:
                del self._unanswered[kind]

    def at_the_end(self) -> Iterator[str]:
        """Yield where what rests doesn't fit what is held once all is calm."""
        venue, held = self.bot.venue, abs(self.bot.position)
        stops = sum((order.open_quantity for order in venue.stops()), ZERO)
        targets = sum((order.open_quantity for order in venue.targets()), ZERO)
        exits = sum((order.open_quantity for order in WHAT["exit"](self.bot)), ZERO)
        wanted = held if venue.can.reduce_only else held - exits
        # Shares that were to be closed before anything protected them get an exit, and no stop.
        fits = stops == wanted or self._turned or (stops < wanted and exits == held)
        if not fits or targets > wanted:
            yield f"at the end {held} are held, and stops rest for {stops}, targets for {targets}, exits for {exits}"
        if self._turned and exits != held and "other" not in self._unanswered:
            yield f"at the end {held} are held beyond the position, and exits close {exits}"
        if self.bot.scene.ledger.totals().own_quantities().get("AAPL", ZERO) != self.bot.position:
            yield "the books have other shares than the venue"

    def by_the_law(self) -> Iterator[str]:
        """Yield where the law of protection was broken."""
        lots = Lots(self.bot.venue.number)
        for line in self.bot.venue.log:
            lots.add(line)
        lots.lied |= {*self._killed}
        for gap in lots.finish():
            # What the venue had held back before a process was killed shows later only as what that had canceled.
            gap.began = max([gap.began, *(at for at in self._killed if at < (gap.ended or FOREVER))])
        passes = [Pass(at, Job.EVALUATE_EXITS, frozenset({"AAPL"})) for at in self.bot.passes]
        problems = Law(lots, SESSIONS, tuple(_told(self.bot)), passes).judge().problems
        # While nobody knows what became of an exit, none goes out in its place.
        yield from (one for one in problems if "other" not in self._unanswered or not one.endswith("an exit too"))


def _told(bot: BotApart) -> Iterator[Told]:
    spans: dict[str, Told] = {}
    for event in bot.scene.events.emitted:
        if event.event_type not in (BEGAN, f"{BEGAN}_ended"):
            continue
        since = datetime.fromisoformat(event.details["since"])
        lasted = event.details.get("lasted_s")
        until = since + timedelta(seconds=float(lasted)) if lasted else None
        first = spans.get(event.details["since"])
        spans[event.details["since"]] = Told(first.at if first else event.timestamp, "AAPL", since, until)
    yield from spans.values()


def _triggers(line: Line, known: Line | None) -> bool:
    return line["status"] in TRIGGERS or (line["status"] in CHANGING and bool(known and known["triggers"]))


def _left(line: Line) -> Decimal:
    return Decimal(line["qty"]) - Decimal(line["filled_qty"])


QUIET = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), report_multiple_bugs=False)


@pytest.mark.sampled(share=60, proof=True)
@pytest.mark.parametrize(("edit", "reduce_only"), list(product(Edit, (True, False))))
def test_no_drawn_life_breaks_a_promise(edit: Edit, reduce_only: bool) -> None:
    @settings(QUIET, max_examples=sized(10, 200))
    @given(LIVES, st.sampled_from(ClientIds), st.sampled_from([Pairs.TWO_ORDERS, Pairs.BRACKET]))
    def holds(life: Life, ids: ClientIds, pairs: Pairs) -> None:
        can = capabilities(edit, reduce_only=reduce_only, pairs=pairs)
        assert lived(replace(can, client_ids=ids), *life) == []

    holds()


def test_a_gap_that_an_exit_closes_ends_with_its_fill_and_not_with_the_stop_that_came_before() -> None:
    grown = [(("price", "102"), ("exits", (), 20)), (("fill", "entry", "all"), ("exits", (), 20))]
    assert lived(capabilities(Edit.IN_PLACE, reduce_only=False), Side.BUY, "half", grown) == []


def stop_ends_before_the_new_one_rests(patch: pytest.MonkeyPatch) -> None:
    """Cancel the old stop although the new one isn't acknowledged."""
    patch.setattr(separate_protection, "_is_resting", lambda world, placed: placed.terminal is None)


def targets_count_as_stops(patch: pytest.MonkeyPatch) -> None:
    """Leave shares without a stop that a target rests for."""
    usual = protection_plan.stop_steps

    def steps(
        protection: protection_plan.ProtectionState, looser_by: Decimal
    ) -> Iterator[protection_plan.ProtectionStep]:
        return usual(
            protection._replace(
                shares=max(protection.shares - protection_plan.total_shares(protection.targets), Decimal(0))
            ),
            looser_by,
        )

    patch.setattr(separate_protection, "stop_steps", steps)


class _Plain:
    """A reader of a venue that is taken for one whose orders don't only reduce."""

    def __init__(self, reader: BrokerReader) -> None:
        self._reader = reader

    @property
    def capabilities(self) -> Capabilities:
        return replace(self._reader.capabilities, reduce_only=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def exits_cancel_stops(patch: pytest.MonkeyPatch) -> None:
    """Cancel what protects for an exit, although it lets the exit pass."""
    usual = close_orders._exits

    def as_without(world: Any, *given: Any) -> Any:
        return usual(replace(world, reader=_Plain(world.reader)), *given)

    patch.setattr(close_orders, "_exits", as_without)


def lost_requests_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Place another order while nobody knows what became of the first."""
    patch.setattr(separate_protection, "_concerns", lambda intent, protection: False)


def stops_never_get_smaller(patch: pytest.MonkeyPatch) -> None:
    """Leave stops for shares that are gone."""
    usual = protection_plan.stop_steps
    patch.setattr(
        separate_protection, "stop_steps", lambda *given: (step for step in usual(*given) if step.old is None)
    )


def targets_stay(patch: pytest.MonkeyPatch) -> None:
    """Leave targets for shares that a stop has sold."""
    patch.setattr(separate_protection, "target_steps", lambda protection: ())


def turned_is_kept(patch: pytest.MonkeyPatch) -> None:
    """Hold what filled beyond the position."""
    patch.setattr(fills_and_cash, "TURNED", fills_and_cash.NOTHING)


def halt_cancels_stops(patch: pytest.MonkeyPatch) -> None:
    """Cancel what protects once entries are blocked."""
    usual = working_orders._due

    def due(world: Any, desk: Any, symbols: Any) -> Iterator[Any]:
        yield from usual(world, desk, symbols)
        if desk.state.state is not TradingState.ACTIVE:
            resting = working_orders.our_working_orders(world, desk)
            yield from ((order, record, Reason.HALTED) for order, record in resting if record.intent.protects)

    patch.setattr(working_orders, "_due", due)


def gaps_untold(patch: pytest.MonkeyPatch) -> None:
    """Tell nothing of a stop that was canceled for another order."""
    told = EventKind.STOP_MOVED
    patch.setattr(amendments, "gap_began", lambda gap, now, cause: told.at(now, {}, gap.symbol))


def stops_for_all(patch: pytest.MonkeyPatch) -> None:
    """Place each stop for the whole position, whatever rests already."""
    usual = protection_plan.stop_steps

    def steps(
        protection: protection_plan.ProtectionState, looser_by: Decimal
    ) -> Iterator[protection_plan.ProtectionStep]:
        found = usual(protection, looser_by)
        return (step._replace(shares=protection.shares) if step.old is None else step for step in found)

    patch.setattr(separate_protection, "stop_steps", steps)


BUY, CALM = Side.BUY, ("exits", (), 20)
TARGET_FILLS, BOTH_FILL = (("fill", "target", "all"), CALM), (("whip", "all", "stop"), CALM)
HALT = (("state", TradingState.REDUCE_ONLY), CALM)
CONTROLS: list[tuple[Callable[[pytest.MonkeyPatch], None], Edit, bool, Life]] = [
    (
        stop_ends_before_the_new_one_rests,
        Edit.NONE,
        True,
        (BUY, "all", [(TARGET_FILLS[0], ("exits", ("slow",), 20))]),
    ),
    (targets_count_as_stops, Edit.NEW_ID, True, (BUY, "half", [])),
    (turned_is_kept, Edit.IN_PLACE, False, (BUY, "half", [BOTH_FILL])),
    (exits_cancel_stops, Edit.NEW_ID, True, (BUY, "half", [BOTH_FILL])),
    (
        lost_requests_are_forgotten,
        Edit.NONE,
        True,
        (BUY, "half", [(("suspend",), ("exits", ("", "swallowed"), 20))]),
    ),
    (stops_never_get_smaller, Edit.NEW_ID, False, (BUY, "half", [TARGET_FILLS])),
    (targets_stay, Edit.NEW_ID, False, (BUY, "all", [(("whip", "half", "stop"), CALM)])),
    (halt_cancels_stops, Edit.IN_PLACE, True, (BUY, "half", [TARGET_FILLS, TARGET_FILLS, HALT])),
    (gaps_untold, Edit.NONE, False, (BUY, "half", [(("flatten", ()), CALM)])),
    (stops_for_all, Edit.NONE, False, (BUY, "half", [(("fill", "entry", "all"), CALM)])),
]
"""Bots broken on purpose, each at a venue where it breaks a promise, with a life that shows it."""


@pytest.mark.sampled(share=60, proof=True)
@pytest.mark.parametrize(("control", "edit", "reduce_only", "life"), CONTROLS)
def test_bot_that_breaks_a_promise_is_caught(
    control: Callable[[pytest.MonkeyPatch], None],
    edit: Edit,
    reduce_only: bool,
    life: Life,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    can = capabilities(edit, reduce_only=reduce_only)
    assert lived(can, *life) == [], "the bot as it is"
    control(monkeypatch)
    assert lived(can, *life)
    if in_campaigns():
        # Drawn lives show it too, soon enough.
        quick, chance = settings(QUIET, max_examples=600, phases=(Phase.generate,)), random.Random(seed())  # noqa: S311 - replayable
        find(LIVES, lambda life: bool(lived(can, *life)), settings=quick, random=chance)
