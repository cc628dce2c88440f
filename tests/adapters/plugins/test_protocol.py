"""Messages over pipes arrive whole, in order and in time, or not at all."""

import os
import tempfile
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.values import NOW
from tradebot.adapters.plugins.protocol import (
    HEADER,
    Pipes,
    RequestNumber,
    SessionViews,
    pack_slot_wants,
    pack_view,
    pack_views,
    pack_wants,
    unpack_slot_wants,
    unpack_view,
    unpack_wants,
)
from tradebot.adapters.text.canonical import CodecError
from tradebot.model.bar import Quote
from tradebot.model.candidate import Component, OptionContract, ScaleOutLevel, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.position import EntryTerms, Lot, Position
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts
from tradebot.model.series import PriceKind, Series
from tradebot.model.struct_tools import replace
from tradebot.model.view import Close, FeatureRow, Open, Reduce, SlotWants, StrategyView, Target, Want

MOST = 2**20


@dataclass
class Line:
    """A pipe from which this process also reads what it writes."""

    source: int
    sink: int
    pipes: Pipes

    def close(self) -> None:
        for end in (self.source, self.sink):
            with suppress(OSError):
                os.close(end)


@pytest.fixture
def line() -> Iterator[Line]:
    source, sink = os.pipe()
    with closing(Line(source, sink, Pipes(source, sink))) as line:
        yield line


def soon() -> float:
    return time.monotonic() + 0.02


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.one_of(st.binary(), st.integers(0, MOST).map(bytes)), max_size=4))
def test_messages_arrive_whole_and_in_order(line: Line, messages: list[bytes]) -> None:
    def send() -> None:
        for message in messages:
            line.pipes.put(message)

    sender = threading.Thread(target=send)
    sender.start()
    assert [line.pipes.get(MOST) for _ in messages] == messages
    sender.join()


def test_messages_time_out_but_a_waiting_one_is_returned_after_the_deadline(line: Line) -> None:
    line.pipes.put(b"there", 0.0)
    assert line.pipes.get(MOST, 0.0) == b"there"
    with pytest.raises(TimeoutError):
        line.pipes.get(MOST, soon())
    os.write(line.sink, HEADER.pack(5) + b"half")
    with pytest.raises(TimeoutError):
        line.pipes.get(MOST, soon())
    with pytest.raises(TimeoutError):
        line.pipes.put(bytes(MOST), soon())
    os.close(line.source)
    with pytest.raises(BrokenPipeError):
        line.pipes.put(b"to nobody")


@pytest.mark.parametrize("sent", [b"", b"\0\0", HEADER.pack(5) + b"half"], ids=["nothing", "header", "message"])
def test_get_raises_when_the_sender_is_gone(line: Line, sent: bytes) -> None:
    os.write(line.sink, sent)
    os.close(line.sink)
    with pytest.raises(EOFError):
        line.pipes.get(MOST)


def _series(symbol: str, count: int, price: PriceKind) -> Series:
    opening, high, low, close, volume = (array("d", [place + row / 8 for row in range(count)]) for place in range(5))
    return Series(symbol, "5Min", True, array("q", range(count)), opening, high, low, close, volume, price)


@pytest.mark.parametrize("counts", [(), (0,), (1, 3), (12, 0, 7)])
def test_a_view_arrives_as_it_was_sent_with_each_of_its_columns(counts: tuple[int, ...]) -> None:
    series = [_series(f"S{count}", count, price) for count in counts for price in PriceKind]
    held = Position("odd", "S1", (Lot(Decimal("-3"), Decimal("10.5"), NOW),), Decimal(0), NOW)
    view = StrategyView(
        NOW,
        ["S1", "S2"],
        facts=MappingProxyType({"S1": SymbolFacts("S1")}),
        series=MappingProxyType({each.key: each for each in series}),
        quotes={"S1": Quote("S1", NOW, Decimal(1), Decimal(2), Decimal(1), Decimal(1), "sip")},
        lots=MappingProxyType({"S1": held}),
        equity_usd=Decimal("1.50"),
        slot="10:00",
        kept=MappingProxyType({"S1": EntryTerms(atr_fraction=Decimal("0.04"))}),
        features={("S1", "5Min"): FeatureRow(NOW, {"rsi_14": 0.25})},
    )
    received = unpack_view(pack_view(view))
    assert received == replace(view, universe=("S1", "S2"))
    assert all(type(getattr(received, name)) is dict for name in ("facts", "series", "lots", "kept", "features"))
    assert all(type(each.price) is PriceKind for each in received.series.values())


def test_views_of_a_session_arrive_as_they_were_sent_and_share_their_bars() -> None:
    long = _series("S1", 40, PriceKind.TRADE)
    adjusted = replace(long, close=array("d", [price / 2 for price in long.close]))
    windows = [long[0:12], long[0:12], long[3:15], long[3:18], long[20:25], adjusted[14:26], adjusted[14:30], long[:0]]
    views = [
        StrategyView(NOW, ("S1",), series=MappingProxyType({window.key: window}), slot=f"{number}")
        for number, window in enumerate(windows)
    ]
    message = pack_views(views)
    received = SessionViews(message)
    assert list(received) == views
    assert (received[-1], received[1:3]) == (views[-1], views[1:3])
    assert received[0].bars("S1", "5Min").close is not received[0].bars("S1", "5Min").close
    # The bars of the first five windows are sent once, in 18 + 5 bars; the others were adjusted in the meantime.
    assert message.count(long.high[3:12].tobytes()) == 1
    assert list(SessionViews(pack_views([]))) == []


_NUMBERS = st.one_of(st.none(), st.integers(-(10**15), 10**15), st.floats(allow_nan=False), st.text(max_size=20))
_DECIMALS = st.one_of(st.none(), st.decimals(allow_nan=False, allow_infinity=False))
_DECISIONS = st.builds(
    Decision,
    st.just(Gate.STRATEGY),
    st.sampled_from(Verdict),
    st.sampled_from([None, Reason.STRATEGY_DECLINED]),
    _NUMBERS,
    _NUMBERS,
    st.one_of(st.none(), st.floats(0, 1e6)),
    st.text(max_size=5),
)
_SYMBOLS = st.text(min_size=1, max_size=6)
_WANTS: st.SearchStrategy[Want] = st.one_of(
    st.builds(
        Open,
        _SYMBOLS,
        st.sampled_from(Side),
        st.floats(-1, 1),
        components=st.just((Component("flow", None, 1.0, "uw"),)),
        decisions=st.lists(_DECISIONS, max_size=2).map(tuple),
        quantity=_DECIMALS,
        stop_loss_fraction=_DECIMALS,
        targets=st.just((ScaleOutLevel(Decimal("0.5"), Decimal("0.25")),)),
        contracts=st.just(
            (OptionContract("S1C", Decimal("1.5"), NOW, None, Decimal("0.1"), 3, 4, None, True, ("a",)),)
        ),
        hold_s=st.one_of(st.none(), st.integers(1, 10**6)),
    ),
    st.builds(Target, _SYMBOLS, _DECIMALS, score=st.just(0.5), decisions=st.lists(_DECISIONS, max_size=2).map(tuple)),
    st.builds(Reduce, _SYMBOLS, st.decimals(1, 10**6), st.text(max_size=9)),
    st.builds(Close, _SYMBOLS, st.text(max_size=9)),
)


@given(st.lists(_WANTS, max_size=5))
def test_wants_arrive_as_they_were_sent_kind_by_kind(wants: list[Want]) -> None:
    kinds = (Open, Target, Reduce, Close)
    assert unpack_wants(pack_wants(wants)) == tuple(want for kind in kinds for want in wants if type(want) is kind)


@pytest.mark.parametrize(
    "change",
    [{"at": NOW.replace(tzinfo=None)}, {"bid": Decimal("NaN")}, {"volume": "many"}],
    ids=["a time without a zone", "no number", "text"],
)
def test_contracts_behind_a_want_are_checked_where_they_arrive(change: dict[str, Any]) -> None:
    contract = OptionContract("S1C", Decimal("1.5"), NOW, None, Decimal("0.1"), 3, 4, None, True, ("a",))
    unpack_wants(pack_wants([Open("S1", Side.BUY, 0.5, contracts=(contract,))]))
    with pytest.raises(CodecError):
        unpack_wants(pack_wants([Open("S1", Side.BUY, 0.5, contracts=(replace(contract, **change),))]))


@given(st.lists(st.tuples(*[st.lists(_WANTS, max_size=3)] * 3), max_size=4))
def test_wants_of_slots_arrive_as_they_were_sent(slots: list[tuple[list[Want], ...]]) -> None:
    kinds = (Open, Target, Reduce, Close)
    sent = [
        SlotWants(*(tuple(sorted(wants, key=lambda want: kinds.index(type(want)))) for wants in slot)) for slot in slots
    ]
    assert unpack_slot_wants(pack_slot_wants(sent)) == tuple(sent)


@given(st.binary(max_size=40))
def test_whatever_else_arrives_as_wants_is_refused_and_nothing_else(message: bytes) -> None:
    try:
        wants = unpack_wants(message)
    except ValueError:
        return
    assert all(type(want) in (Open, Target, Reduce, Close) for want in wants)


def test_keeper_sees_the_number_of_the_present_request() -> None:
    with tempfile.TemporaryFile() as file:
        file.truncate(RequestNumber.size())
        ours, theirs = RequestNumber(file.fileno()), RequestNumber(file.fileno())
    assert theirs.value == 0
    for value in (1, 2, 3):
        ours.advance()
        assert theirs.value == value
    for number in (ours, theirs):
        number.close()
