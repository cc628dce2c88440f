"""Connections: what a Gateway has to have said before it counts, and what becomes of one that ends or says nonsense.

Host, port, client id and mode have to belong together.

Several processes of a bot share its client id: each connects in its turn, and none in the middle of an order.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest

from tests.kit.adapters.ibkr import NEXT_ID, SOON, Connection, Exchange, Message, desk, intent, made, scripted, usual
from tests.kit.waiting import until
from tradebot.adapters.state import state_locks
from tradebot.adapters.text.extras import install
from tradebot.errors import ExitCode, OperatorError, TemporaryError
from tradebot.model.trading import Mode
from tradebot.venues.ibkr import link as module
from tradebot.venues.ibkr.link import IbkrConnection, IbkrVenue, LinkTimeouts, connection_address, shared_link


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
    [(0, "sends nothing"), (71, "neither accounts nor ids"), (61, "no positions"), (6, "no account"), (16, "no open")],
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
        return "lost its connection to Interactive Brokers" in error.message
    return False


def test_ten_thousand_unknown_messages_block_entries_until_a_view_comes_without() -> None:
    with scripted() as gateway, desk(gateway.port) as one:
        assert one.reader.view().unreadable == 0
        gateway.say(*[(777, number, "nonsense") for number in range(10_000)])
        until(lambda: one.venue.link.dropped_count >= 10_000)
        assert one.reader.view().unreadable == 10_000
        assert any("couldn't be decoded" in found for found in one.findings)
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


def test_each_mode_has_its_port_and_a_bot_its_client_id() -> None:
    assert connection_address(Mode.PAPER, {}, None) == ("127.0.0.1", 4002, 9002)
    assert connection_address(Mode.LIVE, {}, None) == ("127.0.0.1", 4001, 9002)
    own = {"ibkr_host": "localhost", "ibkr_port": "7497", "ibkr_client_id": "9102"}
    assert connection_address(Mode.PAPER, own, None) == ("localhost", 7497, 9102)
    assert connection_address(Mode.SANDBOX, {}, ("127.0.0.1", 5)) == ("127.0.0.1", 5, 9002)


@pytest.mark.parametrize(
    ("mode", "given", "words"),
    [
        (Mode.PAPER, {"ibkr_port": "4001"}, "4001 is for live"),
        (Mode.LIVE, {"ibkr_port": "4002"}, "4002 is for paper"),
        (Mode.PAPER, {"ibkr_port": "70000"}, "IBKR_PORT is not a number"),
        (Mode.PAPER, {"ibkr_client_id": "0"}, "IBKR_CLIENT_ID is not a number"),
        (Mode.PAPER, {"ibkr_client_id": "x"}, "IBKR_CLIENT_ID is not a number"),
        (Mode.PAPER, {"ibkr_host": "gateway.example.com"}, "not encrypted"),
        (Mode.SANDBOX, {}, "doesn't simulate"),
    ],
)
def test_what_does_not_fit_is_refused(mode: Mode, given: dict[str, str], words: str) -> None:
    with pytest.raises(OperatorError, match=words):
        connection_address(mode, given, None)


@pytest.mark.parametrize(("mode", "number", "fits"), [
    (Mode.PAPER, "DU1", True), (Mode.PAPER, "U1", False), (Mode.LIVE, "U1", True), (Mode.LIVE, "DU1", False),
    (Mode.SANDBOX, "SBX1", True),
])  # fmt: skip
def test_an_account_of_another_kind_than_the_mode_is_refused(mode: Mode, number: str, fits: bool) -> None:
    venue = IbkrVenue(mode, shared_link("127.0.0.1", 1, 1))
    if fits:
        venue.check_account(number)
    else:
        with pytest.raises(OperatorError, match="does not fit this Gateway"):
            venue.check_account(number)


def test_a_process_has_one_connection_with_a_client_id() -> None:
    assert shared_link("127.0.0.1", 1, 1) is shared_link("127.0.0.1", 1, 1)
    assert shared_link("127.0.0.1", 1, 2) is not shared_link("127.0.0.1", 1, 1)


T = TypeVar("T")


class TwoProcesses(NamedTuple):
    """Two processes of a bot, and its folder."""

    serve: Connection
    verb: Connection
    folder: Path


@pytest.fixture
def bot(there: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoProcesses]:
    monkeypatch.setattr(module, "QUIET_S", 0.02)
    monkeypatch.setattr(module, "LONGEST_S", 0.05)
    with ExitStack() as both:
        desks = [both.enter_context(closing(Connection(there.port))) for _ in range(2)]
        for one in desks:
            one.venue.link.take_turns(tmp_path)
        yield TwoProcesses(desks[0], desks[1], tmp_path)


def beside(ask: Callable[[], T]) -> "Future[T]":
    """Ask in a thread of its own, as another process does."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except TemporaryError as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer


def test_each_process_connects_when_the_other_asks_nothing(bot: TwoProcesses) -> None:
    for _ in range(2):
        for one in (bot.serve, bot.verb):
            assert one.reader.account().number
            assert one.reader.view().unreadable == 0, "nothing of what came is missing"


def test_a_process_that_always_asks_hands_over_between_two_questions(bot: TwoProcesses) -> None:
    ended = threading.Event()

    def asks() -> int:
        count = 0
        while not ended.is_set():
            bot.serve.reader.clock()
            count += 1
        return count

    bot.serve.reader.clock()
    asked = beside(asks)
    try:
        assert beside(bot.verb.reader.account).result(10).number
    finally:
        ended.set()
    assert asked.result(10) > 1, "and it goes on afterwards"


def test_an_order_that_is_being_sent_is_answered_first(bot: TwoProcesses) -> None:
    with bot.serve.venue.link.sending() as line:
        answer = beside(bot.verb.reader.account)
        time.sleep(0.2)
        assert not answer.done()
        assert not line.receiver.gone
    assert answer.result(10).number


@pytest.mark.parametrize("gives_way", [False, True])
def test_a_pass_of_exits_is_finished_first_and_one_that_gives_way_is_not(bot: TwoProcesses, gives_way: bool) -> None:
    bot.serve.reader.account()
    with state_locks.hold(bot.folder, "a pass", gives_way=gives_way):
        answer = beside(bot.verb.reader.account)
        if not gives_way:
            time.sleep(0.2)
            assert not answer.done()
        else:
            assert answer.result(10).number
    assert answer.result(10).number


def test_orders_of_one_process_are_those_of_the_next(bot: TwoProcesses) -> None:
    order = made(bot.serve.orders.submit(intent()))
    found = bot.verb.reader.order_reports()
    assert order.venue_id in found.own, "it has the same client id"
    number = int(found.own[order.venue_id][0])
    bot.serve.reader.account()
    next_one = made(bot.verb.orders.submit(intent()))
    assert int(bot.verb.reader.order_reports().own[next_one.venue_id][0]) > number, "ids go on rising"


def test_another_program_with_the_client_id_is_told_after_a_while(bot: TwoProcesses, there: Exchange) -> None:
    with desk(there.port) as other:
        other.reader.clock()
        with pytest.raises(TemporaryError, match="client id 9102 is in use: another program"):
            bot.serve.reader.account()
        assert state_locks.holder(bot.folder, "venue.lock") is None, "who couldn't connect has no turn"


def test_a_gateway_that_notices_late_that_a_process_has_gone_is_retried(bot: TwoProcesses, there: Exchange) -> None:
    bot.verb.venue.link.patience = module.LinkTimeouts(freed=5.0, reads_a_second=0)
    with desk(there.port) as gone:
        gone.reader.clock()
        answer = beside(bot.verb.reader.account)
        time.sleep(0.3)
        assert not answer.done()
    assert answer.result(10).number
