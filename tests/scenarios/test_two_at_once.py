"""Two runs of anything at once end as one, judged by the exchange's own log; and the codes that a venue causes."""

from collections import Counter
from collections.abc import Iterator

import pytest

from commands.trade_once import run as trade_once
from tests.kit.bot.folder import Bot, at_once, log
from tests.kit.fakes.scripted import Scripted, Wire, serving
from tradebot.app.loading import Options
from tradebot.app.wiring import open_app
from tradebot.errors import ExitCode, TradebotError


@pytest.fixture
def wire() -> Iterator[Wire]:
    with serving() as server:
        yield server


def test_two_runs_at_once_end_as_one(shared_trader: Bot) -> None:
    for verb in ("trade-once", "evaluate-exits", "fetch-flow", "reconcile", "score"):
        shared_trader.says("exchange", "tick", "5m")
        said = at_once(verb, "--json", "--state-dir", str(shared_trader.folder))
        assert [run.code for run in said] == [0, 0], said
        if verb in ("trade-once", "evaluate-exits", "fetch-flow"):
            assert sum("SLOT_TAKEN" in run.out for run in said) == 1, (verb, said)
    accepted = [line for line in log(shared_trader.url) if line["event"] == "order_accepted"]
    assert accepted, "nothing was sent, so nothing could be sent twice"
    assert set(Counter(line["client_order_id"] for line in accepted).values()) == {1}
    assert set(Counter((line["symbol"], line["side"]) for line in accepted).values()) == {1}


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [(503, ExitCode.UNAVAILABLE, "VENUE_UNREACHABLE"), (401, ExitCode.AUTHENTICATION, "KEYS_REFUSED")],
)
def test_what_the_venue_causes_has_its_exit_code_and_is_why_nothing_was_traded(
    shared_trader: Bot, wire: Wire, status: int, code: ExitCode, reason: str
) -> None:
    wire.answer(Scripted(status, {"message": "no"}))
    with open_app(Options(str(shared_trader.folder)), {}) as app:
        app.__dict__["exchange_url"] = wire.url
        with pytest.raises(TradebotError) as failed:
            trade_once.run(app, by="test")
    assert failed.value.code == code
    why = shared_trader.json("why-no-orders")["explanation"]
    assert (why["verdict"], why["funnel"]["reasons"][0]["reason"]) == ("broken", reason)
