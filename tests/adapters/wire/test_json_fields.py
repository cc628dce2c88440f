"""Text and numbers of a foreign row have a length: what is longer costs its row, and is repeated nowhere."""

from typing import Any

import pytest

from tests.kit.adapters.alpaca import fill_row, order_row, reader, view_of
from tests.kit.fakes.scripted import Scripted, Wire
from tests.kit.signals.source_rows import GOOD, NO_QUOTA
from tests.kit.values import NOW
from tests.venues.alpaca.test_parsers import READERS
from tradebot.adapters.wire.http import decode
from tradebot.adapters.wire.json_fields import LONGEST_SYMBOL, LONGEST_TEXT, DriftTally
from tradebot.model.flow import FlowPage
from tradebot.signals.kinds import kind_of
from tradebot.signals.normalize import normalize

FIELDS = [(read, row, error, name) for read, row, error in READERS for name, value in row.items() if value]
HUGE = ("x" * 200_000, "9" * 200_000, "tb1." + "x" * LONGEST_TEXT)


@pytest.mark.parametrize("huge", HUGE, ids=["text", "digits", "just too long"])
def test_huge_field_is_never_repeated_whole(huge: str) -> None:
    for read, row, error, name in FIELDS:
        tally = DriftTally()
        try:
            said = repr(read(row | {name: huge}, tally))
        except error as refused:
            said = str(refused)
        assert len(said) < 1000, name
        assert all(len(drift.problem) <= 200 for drift in tally.counts)


@pytest.mark.parametrize(("name", "most"), [("client_order_id", LONGEST_TEXT), ("symbol", LONGEST_SYMBOL)])
def test_an_order_with_text_of_the_greatest_length_is_read_and_a_longer_one_costs_its_own_row(
    wire: Wire, name: str, most: int
) -> None:
    view_of(wire, orders=[order_row(**{name: "A" * most}), order_row(id="other", **{name: "A" * (most + 1)})])
    tally = DriftTally()
    view = reader(wire, tally).view()
    assert ([getattr(order, name) for order in view.orders], view.unreadable) == (["A" * most], 1)
    ((drift, _),) = tally.counts.items()
    assert (drift.field, drift.problem) == (name, f"row refused: is longer than {most} characters: {most + 1}")


@pytest.mark.parametrize("qty", ["9" * 5_000, "1e-999999", "0e-999999", "1." + "0" * 5_000, "1e400"])
def test_absurd_number_costs_only_its_row(wire: Wire, qty: str) -> None:
    rows = b"[%s]" % b",".join(_with_quantity(number, text) for number, text in ((1, "2"), (2, qty)))
    wire.answer(Scripted(200, rows))
    answers = reader(wire)
    assert [fill.quantity for fill in answers.fills(None)] == [2]
    assert answers.unreadable_fills == 1


def _with_quantity(number: int, text: str) -> bytes:
    return Scripted(200, fill_row(number, qty="QTY")).raw.replace(b'"QTY"', text.encode())


@pytest.mark.parametrize("endpoint", GOOD)
def test_a_huge_field_of_the_flow_source_is_refused_and_counted(endpoint: str) -> None:
    for name in GOOD[endpoint]:
        for huge in (*HUGE, decode(b"9" * 5_000), decode(b"1e-999999")):
            row: dict[str, Any] = GOOD[endpoint] | {name: huge}
            intake = normalize(kind_of(endpoint), FlowPage(endpoint, "AAPL", (row,), NO_QUOTA), NOW)
            assert "9" * 200 not in repr(intake), name
            assert len(repr(intake)) < 20_000, name
            assert len(intake.facts) + len(intake.rejected) + intake.foreign == 1
