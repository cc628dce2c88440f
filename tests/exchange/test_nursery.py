"""An exchange that is forked by a nursery starts, fails and stays as one with an interpreter of its own."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.nursery import Nursery, starting_with, without_nursery
from tradebot.exchange import process
from tradebot.exchange.market.spec import MarketError


def test_forked_exchange_outlives_its_nursery_and_answers(new_folder: Callable[[], Path]) -> None:
    folder = new_folder()
    with closing(Nursery()) as nursery, starting_with(nursery.start):
        started = process.ensure(folder, idle_exit_s=30)
    assert started.detached
    assert process.ask(folder, "GET", "/exchange/v1/status")["symbols"]
    process.stop(folder)
    assert process.running(folder) is None


def test_forked_exchange_that_cannot_start_gives_the_same_error(new_folder: Callable[[], Path]) -> None:
    folder, stories = new_folder(), []
    (folder / "log.jsonl").write_text("no log\n")
    with closing(Nursery()) as nursery:
        for way in (without_nursery(), starting_with(nursery.start)):
            with way, pytest.raises(MarketError) as raised:
                process.ensure(folder)
            stories.append((raised.value.message, raised.value.hint))
    assert stories[0] == stories[1]
    assert "is not JSON" in stories[0][0]
