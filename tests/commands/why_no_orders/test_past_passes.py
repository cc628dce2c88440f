"""`why-no-orders` about a session, a pass of it, a span of a symbol, and a dry run.

The screen of one symbol over many passes, at two widths.
"""

import pytest

from commands.shared.tables import Screen
from commands.shared.times import show_utc
from commands.why_no_orders.past_passes import show_by_pass as show
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, second_session
from tests.kit.values import DAY, candidate
from tests.views.test_why_no_orders_symbol_span import cycle, failed, seen_in
from tradebot.model.reasons import Reason
from tradebot.views.why_no_orders import symbol_span


@pytest.fixture
def traded(bot: Bot) -> Bot:
    if not bot.json("status")["positions"]:
        second_session(bot)
        bot.json("trade-once")
        bot.does("exchange tick 5m", "trade-once")
    return bot


def test_any_session_and_any_pass_of_it_can_be_asked(traded: Bot) -> None:
    session = traded.json("why-no-orders", "AAPL", "--session", "2026-11-17")
    assert (session["passes"], session["looked_at"], session["session"]) == (2, 2, "2026-11-17")
    assert session["candidates"] == session["orders"] + sum(end["count"] for end in session["ends"]) == 2
    assert traded.json("why-no-orders", "AAPL", "--since", "1d")["passes"] == 2
    whole = traded.json("why-no-orders", "--session", "2026-11-17")
    assert whole["explanation"]["funnel"]["passes"] == 2
    first = traded.json("why-no-orders", "AAPL", "--session", "2026-11-17", "--at", whole["first_at"])
    assert (first["at"], len(first["decisions"]) > 20) == (whole["first_at"], True)
    by_symbol = traded.json("why-no-orders", "--by-symbol", "--session", "2026-11-17")
    assert (by_symbol["passes"], by_symbol["orders"]) == (2, whole["explanation"]["funnel"]["orders"])
    in_utc = whole["last_at"][11:16]
    assert traded.json("why-no-orders", "AAPL", "--at", f"{in_utc}:59Z")["at"] == whole["last_at"]


@pytest.mark.parametrize(
    ("asked", "code", "answer"),
    [
        ("AAPL --session 2026-11-21", 2, "2026-11-21 is not a session, because the venue is closed"),
        ("AAPL --session soon", 2, "--session soon is not a date"),
        ("AAPL --session 0001-01-03", 2, "--session 0001-01-03 is outside the years 1970 to 2199"),
        ("AAPL --session 9999-12-30", 2, "--session 9999-12-30 is outside the years 1970 to 2199"),
        ("AAPL --session 2026-11-17 --at 07:00", 2, "no pass of trade-once had run by 2026-11-17 07:00 ET"),
        ("AAPL --session 2026-11-17 --at noon", 2, "--at noon is not a time of day"),
        ("AAPL --session 2026-11-17 --since 1d", 2, "--session and --since can't be combined"),
        ("AAPL --dry --at 10:00", 2, "--dry and --at can't be combined"),
        ("--by-symbol --at 10:00", 2, "--at and --by-symbol can't be combined"),
        ("AAPL --by-symbol", 2, "--by-symbol and a symbol can't be combined"),
        (
            "AAPL --session 2026-11-18",
            10,
            "the last one is from session 2026-11-17. Next: tradebot why-no-orders AAPL --s",
        ),
        ("--by-symbol --session 2026-11-18", 10, "tradebot why-no-orders --session 2026-11-17"),
        ("ZZZ --session 2026-11-17", 2, "this bot doesn't evaluate a symbol ZZZ"),
        ("aapl --session 2026-11-17 --at 23:59", 10, "it is the last one of session 2026-11-17"),
    ],
)
def test_what_cannot_be_answered_is_said_with_the_next_step(traded: Bot, asked: str, code: int, answer: str) -> None:
    said = traded.says("why-no-orders", *asked.split())
    assert (said.code, answer in " ".join((said.out + said.err).split())) == (code, True), said.out + said.err


def test_dry_run_is_kept_apart_and_always_said_to_be_dry(traded: Bot) -> None:
    before = traded.json("why-no-orders", "--last", "50")["explanation"]["funnel"]["passes"]
    ledger = (traded.folder / "ledger.db").read_bytes()
    assert traded.says("trade-once", "--dry-run").code == 0
    assert (traded.folder / "ledger.db").read_bytes() == ledger
    assert traded.json("why-no-orders", "--last", "50")["explanation"]["funnel"]["passes"] == before
    assert traded.json("why-no-orders")["dry"] is None
    dry = traded.json("why-no-orders", "AAPL", "--dry")
    assert (dry["dry"].startswith("This was a dry run at "), len(dry["decisions"]) > 20) == (True, True)
    assert traded.json("why-no-orders", "--dry")["explanation"]["verdict"] != "traded"
    (traded.folder / "dry_run.json").write_text("[]")
    refuses(traded.says("why-no-orders", "--dry"), 2, "tradebot trade-once --dry-run")


@pytest.mark.parametrize("width", [80, 120])
def test_gates_and_the_nearest_miss_fit_the_screen(width: int) -> None:
    show_utc(False)
    passes = [cycle(400, failed(Reason.SCORE_BELOW_MIN, 0.2)), cycle(300, failed(Reason.SCORE_BELOW_MIN, 0.1))]
    screen = Screen(width=width, highlight=False)
    with screen.capture() as text:
        show(screen, symbol_span(candidate("NVDA").symbol, seen_in(*passes), DAY))
    shown = text.get()
    assert all(len(line) <= width for line in shown.splitlines())
    words = " ".join(shown.split())
    assert "None of its 2 candidates became an order; 2 ended at SCORE_BELOW_MIN" in words
    assert "score: 0.2 against 0.25" in words
    assert f"tradebot why-no-orders NVDA --session {DAY} --at " in words
