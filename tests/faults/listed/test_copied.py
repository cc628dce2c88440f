"""Two copies of one bot's folder at one account: the one that sees the other's orders sends nothing."""

import shutil

from tests.kit.bot.trader import Trader
from tradebot.errors import ExitCode
from tradebot.model.decision import Gate
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.values import replace


def requests_sent(trader: Trader) -> int:
    return sum(each["event"] == "request" and each["method"] != "GET" for each in trader.stage.log())


def test_copied_folder_sends_nothing_not_even_a_flatten_once_the_other_bot_has_sent(trader: Trader) -> None:
    trader.holds("AAPL")
    copy = trader.folder.with_name(f"{trader.folder.name}-copy")
    shutil.copytree(trader.folder, copy)
    other = Trader(trader.stage, replace(trader.bot, folder=copy))
    trader.stage.tick(seconds=61)
    assert trader.buys("MSFT", again=True).code == 0
    trader.stage.tick(seconds=120)
    sent = requests_sent(trader)
    assert other.flattens().code == ExitCode.REFUSED
    first = other.last(Job.EVALUATE_EXITS).candidates[0].decisions[0]
    assert (first.gate, first.reason) == (Gate.PERMISSION, Reason.SECOND_WRITER)
    other.exits()
    assert requests_sent(trader) == sent
    assert trader.flattens().code == 0, "the first bot saw nothing of the copy"
    assert requests_sent(trader) > sent
