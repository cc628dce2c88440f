"""Several processes of a bot share its client id: each connects in its turn, and none in the middle of an order."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest

from tests.kit.adapters.ibkr import Connection, Exchange, desk, intent, made
from tradebot.adapters.state import state_locks
from tradebot.errors import TemporaryError
from tradebot.venues.ibkr import link as module

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
        assert not line.ears.gone
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


def test_a_gateway_that_notices_late_that_the_last_process_has_gone_is_asked_again(
    bot: TwoProcesses, there: Exchange
) -> None:
    bot.verb.venue.link.patience = module.LinkTimeouts(freed=5.0, reads_a_second=0)
    with desk(there.port) as gone:
        gone.reader.clock()
        answer = beside(bot.verb.reader.account)
        time.sleep(0.3)
        assert not answer.done()
    assert answer.result(10).number
