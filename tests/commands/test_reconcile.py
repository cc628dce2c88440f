"""`tradebot reconcile`: findings, plans, and no way to send an order.

A comparison that comes after a session's close records what the account was worth at it.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from commands.reconcile import run as reconcile
from commands.reconcile.run import note_worth
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, made, made_beside, order_by_hand
from tests.kit.core.scene import Scene
from tests.kit.rows import make_cycle
from tests.kit.values import DAY, DECISIONS_KEPT, SESSION, VENUE_DAY, account
from tradebot.adapters.memory.recorder import Recorder
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.instrument import AssetClass
from tradebot.model.record import CycleRecord, ExitPrice, Job
from tradebot.reconciliation.reconcile import Reconciled


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with made_beside(tmp_path_factory.mktemp("cli") / "state", MSFT="3") as path:
        yield path


def test_reconcile_names_a_position_older_than_the_books(bot: Bot) -> None:
    said = bot.says("reconcile", "--json")
    (finding,) = said.data["findings"]
    assert said.code == 10
    assert (finding["kind"], finding["subject"]) == ("foreign_position", "MSFT")
    assert (finding["ours"], finding["broker"], finding["blocking"]) == ("0", "3", False)
    assert (bot.folder / "plans" / f"{said.data['plan']}.json").is_file()
    assert bot.json("status")["reconcile"]["findings"] == 1


def test_reconcile_screen_shows_the_meaning_and_the_next_command(bot: Bot) -> None:
    shown = bot.shown("reconcile")
    plan = bot.json("reconcile")["plan"]
    assert shown == (
        "Books and broker at 2026-11-16 09:32:00 ET\n"
        "  the broker has 1 position and 0 open orders\n"
        "  recorded 0 changed orders and 0 new fills\n"
        "1 difference; 0 keep entries blocked:\n"
        "what              subject  books  broker  entries  meaning\n"
        "foreign_position  MSFT         0       3  open     a position the bot did not open; counted in the limits,"
        " left alone\n"
        f"Next: tradebot reconcile --apply {plan} accepts this plan (STATE/plans/{plan}.json)\n"
        "  MSFT: acknowledges it as foreign, and leaves it alone"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "there is no plan"),
        ("", "can't be read as a plan"),
        ("[]", "is not a plan of this version"),
        ('{"schema": "tradebot.plan/2", "account": "OTHER1234"}', "was made for an account other than"),
    ],
)
def test_unusable_plan_changes_nothing(bot: Bot, tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_text(text)
    refuses(bot.says("reconcile", "--apply", str(path)), 2, says)


def test_damaged_plan_is_refused(bot: Bot, tmp_path: Path) -> None:
    plan = bot.json("reconcile")["plan"]
    content = json.loads((bot.folder / "plans" / f"{plan}.json").read_text())
    content["plan"]["findings"][0]["broker"] = "NaN"
    (tmp_path / "plan.json").write_text(json.dumps(content))
    refuses(bot.says("reconcile", "--apply", str(tmp_path / "plan.json")), 2, "is damaged")


def test_foreign_order_is_found_without_a_plan(bot: Bot) -> None:
    order_by_hand(bot.url, "AMZN", "1", "by-hand-2")
    said = bot.says("reconcile", "--json")
    kinds = {finding["kind"]: finding["applicable"] for finding in said.data["findings"]}
    assert (said.code, kinds) == (10, {"foreign_order": False, "foreign_position": True})


def test_statement_is_refused_where_the_broker_forgets_nothing(bot: Bot) -> None:
    refuses(bot.says("reconcile", "--statement", "any"), 2, "no statement is needed")


def test_outdated_plan_is_refused(bot: Bot) -> None:
    plan = bot.json("reconcile")["plan"]
    bot.says("exchange", "tick", "2m")
    refuses(bot.says("reconcile", "--apply", plan), 3, "the broker or the books have changed since")


def test_accepted_plan_settles_only_what_it_names(bot: Bot) -> None:
    plan = bot.json("reconcile")["plan"]
    applied = bot.says("reconcile", "--apply", plan, "--json")
    left = [(finding["kind"], finding["subject"], finding["blocking"]) for finding in applied.data["findings"]]
    assert (applied.code, applied.data["applied"], left) == (10, plan, [("by_hand", "AMZN", False)])
    assert bot.says("reconcile", "--json").data["plan"] is None
    assert bot.says("reconcile", "--apply", plan).code == 3


def test_manual_trades_can_be_adopted_and_the_books_agree(bot: Bot) -> None:
    assert "Next: tradebot adopt AMZN --manage" in bot.shown("reconcile")
    assert bot.says("adopt", "AMZN", "--manage", "--confirm", "AMZN").code == 0
    assert bot.shown("reconcile") == (
        "Books and broker at 2026-11-16 09:34:00 ET\n"
        "  the broker has 2 positions and 0 open orders\n"
        "  recorded 0 changed orders and 0 new fills\n"
        "They agree: nothing differs."
    )


def test_reconcile_never_makes_an_order_port(bot: Bot) -> None:
    with open_app(Options(str(bot.folder)), {}) as app:
        reconcile.run(app, by="test")
        assert "reader" in vars(app)
        assert "orders" not in vars(app)


def test_first_pass_after_a_session_deletes_old_decisions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def kept() -> list[str]:
        with open_app(Options(str(path)), {}) as app:
            return [cycle.id for cycle in app.facts.cycles(job=Job.SCORE)]

    with made(tmp_path / "state") as path:
        bot = Bot(path, capsys)
        assert bot.says("exchange", "tick", "30m").code == 0
        with open_app(Options(str(path)), {}) as app:
            for name, days in (("old", DECISIONS_KEPT.days + 1), ("young", DECISIONS_KEPT.days - 1)):
                app.facts.record(make_cycle(name, app.now() - timedelta(days=days), Job.SCORE))
        assert bot.says("reconcile").code == 0
        assert kept() == ["old", "young"]
        bot.does("exchange tick close", "reconcile")
        assert kept() == ["young"]


D = Decimal


def compared(after_close_s: int, equity: int, price: int | None = 107) -> Reconciled:
    held = BrokerPosition("AAPL", AssetClass.US_EQUITY, D(10), D(100), None, None if price is None else D(price))
    view = BrokerView(account(equity=D(equity)), (held,), ())
    return cast(Reconciled, SimpleNamespace(at=SESSION.close + timedelta(seconds=after_close_s), view=view))


@pytest.fixture
def app() -> App:
    ledger, facts = Scene().ledger, Recorder()
    ledger.put_sessions([SESSION])
    seen = CycleRecord(
        "exits", Job.EVALUATE_EXITS, DAY, "open+389m", SESSION.close - timedelta(minutes=1), "sandbox",
        equity=D(90), marks=(ExitPrice("AAPL", D(99)),), last_close=D(80),
    )  # fmt: skip
    facts.record(seen)
    return cast(App, SimpleNamespace(ledger=ledger, facts=facts, day=VENUE_DAY, mode_name="sandbox"))


def test_first_look_after_the_close_is_the_sessions_end_and_later_ones_are_not(app: App) -> None:
    note_worth(app, compared(-1, 95), "cron")
    (end,) = app.facts.session_ends(DAY, DAY)
    assert end.equity == 90
    note_worth(app, compared(60, 100), "cron")
    note_worth(app, compared(3600, 120), "cron")
    (end,) = app.facts.session_ends(DAY, DAY)
    assert (end.equity, end.equity_at, end.last_close) == (D(100), SESSION.close + timedelta(minutes=1), D(80))
    assert (end.marks, end.marked_at) == ({"AAPL": D(107)}, end.equity_at)


def test_look_at_an_open_session_counts_if_it_is_the_last_and_an_unpriced_position_keeps_its_price(app: App) -> None:
    note_worth(app, compared(-1, 95, price=None), "demo", in_session=True)
    (end,) = app.facts.session_ends(DAY, DAY)
    assert (end.equity, end.marks) == (D(95), {"AAPL": D(99)})
