"""Connections: what a Gateway has to have said before it counts, and what becomes of one that ends or says nonsense."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from tests.kit.adapters.ibkr import NEXT_ID, SOON, Connection, Message, desk, scripted, usual
from tradebot.adapters.text.extras import install
from tradebot.errors import ExitCode, OperatorError, TemporaryError
from tradebot.venues.ibkr.link import IbkrConnection, LinkTimeouts


def without(number: int, fields: Sequence[str]) -> list[Message]:
    """Answer as usual, but for one kind of request."""
    return [] if fields[0] == str(number) else usual(fields)


def test_a_gateway_that_has_told_ids_accounts_positions_and_open_orders_is_ready() -> None:
    with scripted() as gateway, desk(gateway.port) as one:
        assert one.venue.link.read(IbkrConnection.time) == 1_794_790_800
        assert [fields[0] for fields in gateway.heard][:5] == ["71", "61", "64", "6", "6"]
        assert gateway.heard[0][2] == "9102"
        before = len(gateway.heard)
        one.venue.link.read(IbkrConnection.time)
        assert len(gateway.heard) == before + 1, "a connection is made once"


@pytest.mark.parametrize(
    ("missing", "words"),
    [(0, "says nothing"), (71, "neither accounts nor ids"), (61, "no positions"), (6, "no account"), (16, "no open")],
)
def test_a_half_armed_gateway_is_told_from_a_ready_one(missing: int, words: str) -> None:
    answer = partial(without, missing)
    with scripted(answer, greets=missing != 0) as gateway, desk(gateway.port) as one:
        with pytest.raises(TemporaryError, match=words) as refused:
            one.venue.link.read(IbkrConnection.time)
        assert "Gateway's window" in refused.value.hint


def test_nothing_that_listens_names_the_gateways_setting() -> None:
    with scripted() as gateway:
        port = gateway.port
    with desk(port) as one, pytest.raises(TemporaryError, match=f"nothing listens at 127.0.0.1:{port}") as refused:
        one.reader.account()
    assert "Socket port" in refused.value.hint


def test_a_client_id_in_use_is_a_clear_sentence_at_once() -> None:
    def answer(fields: Sequence[str]) -> list[Message]:
        return [(4, 2, -1, 326, "Unable to connect as the client id is already in use", "")]

    patience = LinkTimeouts(connect=20)
    with scripted(answer) as gateway, desk(gateway.port, patience=patience) as one:
        began = time.monotonic()
        with pytest.raises(TemporaryError, match="client id 9102 is in use"):
            one.reader.account()
        assert time.monotonic() - began < 10


def test_a_login_with_two_accounts_is_refused() -> None:
    def answer(fields: Sequence[str]) -> list[Message]:
        return [(15, 1, "DU1,DU2"), NEXT_ID] if fields[0] == "71" else usual(fields)

    with scripted(answer) as gateway, desk(gateway.port) as one, pytest.raises(OperatorError, match="2 accounts"):
        one.reader.account()


def test_a_connection_that_ends_is_made_again_for_the_next_read() -> None:
    with scripted() as gateway, desk(gateway.port) as one:
        one.reader.account()
        gateway.hang_up()
        assert one.reader.account().equity == 100_000
        assert [fields[0] for fields in gateway.heard].count("71") == 2


def test_a_lost_venue_is_told_until_it_is_back() -> None:
    with scripted() as gateway, desk(gateway.port) as one:
        for back in (1101, 1102):
            one.reader.account()
            gateway.say((4, 2, -1, 1100, "Connectivity has been lost", ""))
            until(lambda: is_lost(one))
            gateway.say((4, 2, -1, back, "Connectivity has been restored", ""))
            until(lambda: not is_lost(one))
            assert one.reader.account().equity == 100_000
        assert [fields[0] for fields in gateway.heard].count("71") == 1, "the socket has stayed"


def is_lost(one: Connection) -> bool:
    """Return True if the Gateway has said that it has lost the venue."""
    try:
        one.venue.link.ready()
    except TemporaryError as error:
        return "lost Interactive Brokers" in error.message
    return False


def until(check: Callable[[], bool]) -> None:
    """Wait ten seconds at most for something."""
    for _ in range(2_000):
        if check():
            return
        time.sleep(0.005)
    raise AssertionError("it never happened")


def test_ten_thousand_unknown_messages_block_entries_until_a_view_comes_without() -> None:
    with scripted() as gateway, desk(gateway.port) as one:
        assert one.reader.view().unreadable == 0
        gateway.say(*[(777, number, "nonsense") for number in range(10_000)])
        until(lambda: one.venue.link.dropped_count >= 10_000)
        assert one.reader.view().unreadable == 10_000
        assert any("understood" in found for found in one.findings)
        assert one.reader.view().unreadable == 0, "this one is whole, and has what there is"


@pytest.mark.parametrize("silenced", [logging.NOTSET, logging.CRITICAL], ids=["logged", "not even logged"])
def test_a_message_that_the_library_drops_is_counted_beside_it(silenced: int, request: pytest.FixtureRequest) -> None:
    logging.disable(silenced)
    request.addfinalizer(lambda: logging.disable(logging.NOTSET))

    def answer(fields: Sequence[str]) -> list[Message]:
        if fields[0] == "7":
            return [(11, fields[2], 1, 2, "ES", "FUT"), *usual(fields)]
        return usual(fields)

    with scripted(answer) as gateway, desk(gateway.port) as one:
        assert list(one.reader.fills(None)) == []
        assert one.reader.unreadable_fills == 1
        assert one.reader.view().unreadable > 0
        gateway.answer = usual
        one.reader.view()
        assert one.reader.view().unreadable == 0


def test_a_length_that_cannot_be_one_ends_the_connection() -> None:
    with scripted() as gateway, desk(gateway.port) as one:
        one.reader.account()
        gateway.send(b"\xff\xff\xff\xff")
        until(lambda: one.venue.link.dropped_count > 0)
        assert one.reader.account().equity == 100_000
        assert [fields[0] for fields in gateway.heard].count("71") == 2


def test_a_message_cut_short_by_the_end_of_the_connection_is_counted() -> None:
    with scripted() as gateway, desk(gateway.port) as one:
        one.reader.account()
        gateway.send(b"\0\0\0\x20" + b"61\0")
        gateway.hang_up()
        assert one.reader.view().unreadable == 1


def test_reads_leave_room_for_orders() -> None:
    with scripted() as gateway, desk(gateway.port) as one:
        link = one.venue.link
        link.read(IbkrConnection.time)
        began = time.monotonic()
        for _ in range(40):
            link.read(IbkrConnection.time)
        assert time.monotonic() - began > 0.3, "the library would have sent 45 at once"


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ib_async", None)
    with desk(9) as one, pytest.raises(OperatorError, match="the extra ibkr") as refused:
        one.reader.account()
    assert (refused.value.code, refused.value.hint) == (ExitCode.USAGE, install("ibkr"))


def test_answers_that_never_come_are_not_waited_for_long() -> None:
    with scripted(partial(without, 99)) as gateway, desk(gateway.port) as one:
        began = time.monotonic()
        with pytest.raises(TemporaryError, match="doesn't answer"):
            one.reader.view()
        assert time.monotonic() - began < 5 * SOON.answer
