"""`tradebot live`: exactly what is documented sends to a real account, by the log of the exchange in its place."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from commands.live import MOST_SESSIONS
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, Said, made, second_session
from tests.kit.bot.real_money import (
    KEYS,
    SETTINGS,
    Terminal,
    at_a_terminal,
    bent_to,
    environment,
    lines_for,
    promote,
    real_folder,
    spoken,
    writes,
)
from tests.kit.fakes.machine import mounted
from tests.kit.values import us_sessions
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import folder_identity, halt_switch, state_locks
from tradebot.adapters.state.state_folder import read_marker
from tradebot.app.loading import Options
from tradebot.app.promotion_status import unproven_strategies
from tradebot.app.wiring import open_app
from tradebot.model.promotion import Rung

CLOSED: dict[str, tuple[dict[str, str | None], str]] = {
    "tail unset": ({"TRADEBOT_LIVE": None}, "LIVE_ACCOUNT_UNSAID"),
    "tail of another account": ({"TRADEBOT_LIVE": "0000"}, "LIVE_ACCOUNT_UNSAID"),
    "ALLOW_ORDERS unset": ({"ALLOW_ORDERS": None}, "ORDER_GATE_CLOSED"),
    "ALLOW_ORDERS with a blank": ({"ALLOW_ORDERS": "true "}, "ORDER_GATE_CLOSED"),
    "ALLOW_ORDERS full-width": ({"ALLOW_ORDERS": "\uff11"}, "ORDER_GATE_CLOSED"),
    "ENABLE_ORDER_EXEC says no": ({"ENABLE_ORDER_EXEC": "off"}, "ORDER_GATE_CLOSED"),
    "ENABLE_ORDER_EXEC set and empty": ({"ENABLE_ORDER_EXEC": ""}, "ORDER_GATE_CLOSED"),
    "DRY_RUN unset": ({"DRY_RUN": None}, "ORDER_GATE_CLOSED"),
    "DRY_RUN says yes": ({"DRY_RUN": "1"}, "ORDER_GATE_CLOSED"),
    "gates contradict": ({"ALLOW_ORDERS": "true", "DRY_RUN": "true"}, "ORDER_GATE_CLOSED"),
    "another acknowledgement": ({"LIVE_TRADING_ACK": "yes"}, "ORDER_GATE_CLOSED"),
}
UNFIT: dict[str, dict[str, str | None]] = {
    "a paper key": {"ALPACA_KEY": "PK" + "0" * 18},
    "the paper address": {"ALPACA_BASE_URL": "https://paper-api.alpaca.markets"},
    "loopback": {"ALPACA_BASE_URL": "http://127.0.0.1:8123"},
    "no key": {"ALPACA_KEY": None},
    "another mode": {"TRADING_MODE": "paper"},
    "another mode by our own name": {"TRADEBOT_MODE": "sandbox"},
    "another mode by its bare name": {"MODE": "Paper"},
}


class Real(NamedTuple):
    """A bot of real money, and the folder whose exchange stands in its broker's place."""

    bot: Bot
    sandbox: Bot
    lines: Path

    def trades(self, symbol: str, *flags: str) -> Said:
        return self.bot.says(
            "trade-once", "--force-slot", "--json", "--candidates", str(lines_for(self.lines, symbol)), *flags
        )

    def sent(self) -> list[tuple[str, str]]:
        return writes(self.sandbox.folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("live")
    with made(folder / "sandbox", "--sessions", "3"):
        yield folder


@pytest.fixture
def real(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Real]:
    """Yield the module's bot with everything said; whether it is armed is up to the tests, in their order."""
    monkeypatch.chdir(place)
    sandbox, folder = Bot(place / "sandbox", capsys), place / "real"
    bot = Bot(folder, capsys)
    if not folder.exists():
        second_session(sandbox)
        real_folder(sandbox.folder, folder)
    with ExitStack() as stack:
        stack.enter_context(bent_to(sandbox.url))
        stack.enter_context(environment({**KEYS, **spoken(bot.tail())}))
        yield Real(bot, sandbox, place / "lines")


def states(real: Real) -> dict[str, str]:
    return {row["name"]: row["state"] for row in real.bot.json("live", "status")["conditions"]}


def test_before_it_is_armed_nothing_is_sent_and_the_status_says_that_this_alone_is_missing(real: Real) -> None:
    assert real.bot.says("reconcile").code == 0
    said = real.trades("AAPL")
    assert (said.code, said.data["refused"]) == (3, {"LIVE_NOT_ARMED": 1})
    shown = real.bot.says("live", "status")
    assert shown.code == 10
    assert shown.out.startswith("Permission closed: no orders are sent, including exits\n")
    assert "\n  arming: tradebot live arm in a terminal\n" in shown.out
    assert {name for name, state in states(real).items() if state != "open"} == {"arming"}
    assert real.sent() == []


def test_it_is_armed_by_a_person_at_a_terminal_and_nothing_takes_the_terminals_place(real: Real) -> None:
    refuses(real.bot.says("live", "arm"), 2, "needs a person at a terminal")
    assert real.bot.says("live", "arm", "--confirm", real.bot.tail()).code == 2, "there is no such option"
    with at_a_terminal("yes"):
        wrong = real.bot.says("live", "arm")
        assert (wrong.code, "--confirm" in wrong.err) == (3, False)
        assert wrong.err.endswith("\n  next: tradebot live arm\n")
    assert states(real)["arming"] == "closed"


@pytest.mark.parametrize("missing", [*CLOSED, "mode in the file", "shadow", "its own disk"])
def test_no_arming_while_another_condition_is_closed(missing: str, real: Real) -> None:
    changes, own = CLOSED.get(missing, ({}, ""))[0], real.bot.folder / "tradebot.yaml"
    if missing == "mode in the file":
        own.write_text(SETTINGS.replace("mode: live\n", ""))
    if missing == "shadow":
        own.write_text(f"{SETTINGS}shadow: true\n")
    far = mounted(real.bot.folder, "nfs4") if missing == "its own disk" else nullcontext()
    with environment(changes), far, at_a_terminal(real.bot.tail()):
        said = real.bot.says("live", "arm")
    own.write_text(SETTINGS)
    assert (said.code, "live trading can't be armed" in said.err) == (3, True)
    assert "type" not in said.err, "nobody is asked for what would be refused"
    assert states(real)["arming"] == "closed"


def test_a_condition_that_closes_while_the_person_is_asked_keeps_it_unarmed(real: Real) -> None:
    class Slow(Terminal):
        def readline(self, size: int | None = -1) -> str:  # type: ignore[override]
            (real.lines.parent / ".env").touch(mode=0o644)
            return super().readline()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", Slow(f"{real.bot.tail()}\n"))
        said = real.bot.says("live", "arm")
    (real.lines.parent / ".env").unlink()
    assert (said.code, "is accessible to other users" in said.err) == (3, True)
    assert states(real)["arming"] == "closed"


def test_books_whose_journal_is_damaged_are_not_armed(real: Real) -> None:
    journal = real.bot.folder / "journal.jsonl"
    kept = journal.read_bytes()
    journal.write_bytes(kept.replace(b'"cash":"', b'"cash":"9', 1))
    with at_a_terminal(real.bot.tail()):
        said = real.bot.says("live", "arm")
    journal.write_bytes(kept)
    assert said.code != 0
    assert states(real)["arming"] == "closed"
    with at_a_terminal(real.bot.tail()):
        assert real.bot.says("unhalt").code == 0, "damage may have halted it too"


def test_armed_for_one_session_with_everything_said_an_entry_goes_out_once(real: Real) -> None:
    with at_a_terminal(real.bot.tail()):
        said = real.bot.says("live", "arm", "--json")
    assert (said.code, said.data["sessions"], said.data["first"]) == (0, 1, said.data["last"])
    shown = real.bot.says("live", "status")
    assert (shown.code, shown.out.startswith("Permission open: orders may be sent\n")) == (0, True)
    before = real.sent()
    traded = real.trades("AAPL")
    assert (traded.code, traded.data["orders"]) == (0, 1), traded.out
    assert (before, real.sent()) == ([], [("POST", "/v2/orders")])
    assert real.sandbox.says("exchange", "tick", "5m").code == 0
    assert real.bot.json("reconcile")["findings"] == []


def test_strategy_that_was_not_promoted_opens_nothing_until_a_person_types_the_sentence(real: Real) -> None:
    before, sentence = real.sent(), "own trades live without evidence"
    assert real.bot.says("promote", "own", "--to", "candidate").code == 0
    refused = real.trades("MSFT")
    assert (refused.code, refused.data["refused"], real.sent()) == (3, {"DEMOTED": 1}, before)
    (row,) = [row for row in refused.data["rows"][0]["decisions"] if row["gate"] == "promotion"]
    assert (row["observed"], row["limit"]) == ("candidate: demoted by a person", "live small")
    assert real.bot.says("evaluate-exits", "--force-slot").code == 0, "exits go on"
    assert states(real)["promotion"] != "closed"
    override = "promote", "own", "--to", "live", "--without-evidence"
    assert real.bot.says(*override).code == 2, "there is no terminal"
    with at_a_terminal("yes"):
        assert real.bot.says(*override).code == 3
    with at_a_terminal(sentence):
        assert real.bot.says("promote", "own", "--to", "live_small", "--without-evidence").code == 2
        assert real.bot.says(*override).code == 0
    with closing(SqliteLedger.open(real.bot.folder, read_only=True)) as ledger:
        last = ledger.promotions.every()[-1]
    assert (last.strategy, last.rung, last.sentence, last.based_on) == ("own", Rung.LIVE, sentence, None)
    told = f"own: live without evidence since {last.at:%Y-%m-%d}"
    for verb in ("status", "report", "summary", "promote"):
        assert told in real.bot.says(verb).out, verb


def test_live_small_trades_with_a_part_of_its_allotment(real: Real) -> None:
    with open_app(Options(str(real.bot.folder)), os.environ) as app:
        whole = app.rules.of("flow").allotment_fraction
    written = promote(real.bot.folder, Rung.LIVE_SMALL)
    with open_app(Options(str(real.bot.folder)), os.environ) as app:
        assert app.rules.of("flow").allotment_fraction == whole * app.settings.promotion.small_fraction
        assert unproven_strategies(app)[0].startswith("flow: live small without evidence since")
        climbed = app.reached_rungs
    assert climbed is not None
    assert (climbed["flow"].found, climbed["own"].found) == ("live small", "live")
    promote(real.bot.folder)
    assert written.rung is Rung.LIVE_SMALL


@pytest.mark.parametrize("case", CLOSED)
def test_armed_or_not_one_closed_door_keeps_every_order_back(case: str, real: Real) -> None:
    changes, reason = CLOSED[case]
    before = real.sent()
    with environment(changes):
        said = real.trades("MSFT")
        assert (said.code, said.data["refused"]) == (3, {reason: 1})
        assert reason in real.bot.says("status").out
        shown = real.bot.says("live", "status", "--json")
    assert (shown.code, shown.data["state"]) == (10, "closed")
    fixes = [row["fix"] for row in shown.data["conditions"] if row["reason"] == "ORDER_GATE_CLOSED"]
    assert [case for fix in fixes if "live status" in fix] == []
    assert all(fix.endswith("in the environment or in .env") for fix in fixes)
    assert real.sent() == before


@pytest.mark.parametrize("kind", ["nfs4", "9p", "fuse.sshfs"])
def test_a_state_on_a_network_keeps_every_order_back(kind: str, real: Real) -> None:
    before = real.sent()
    with mounted(real.bot.folder, kind):
        said = real.trades("MSFT")
        assert (said.code, said.data["refused"]) == (3, {"STATE_ON_NETWORK": 1})
        assert real.bot.says("evaluate-exits", "--force-slot").code == 3
        with at_a_terminal("ALL"):
            assert real.bot.says("flatten", "--all").code == 3
        assert "STATE_ON_NETWORK" in real.bot.says("status").out
        shown = real.bot.says("live", "status")
    assert (shown.code, f"the state folder is on a network file system: {kind}" in shown.out) == (10, True)
    assert "  state folder: Stop tradebot, move the folder to a local disk" in shown.out
    assert real.sent() == before
    assert states(real)["state folder"] == "open"


def test_a_file_that_does_not_say_live_keeps_every_order_back(real: Real) -> None:
    own, before = real.bot.folder / "tradebot.yaml", real.sent()
    own.write_text(SETTINGS.replace("mode: live\n", ""))
    other = real.lines.with_name("other.yaml")
    other.write_text(SETTINGS.replace("mode: live\n", ""))
    try:
        assert real.trades("MSFT").data["refused"] == {"LIVE_MODE_UNSAID": 1}
    finally:
        own.write_text(SETTINGS)
    assert real.trades("MSFT", "--config", str(other)).data["refused"] == {"LIVE_MODE_UNSAID": 1}
    assert real.sent() == before


@pytest.mark.parametrize("case", UNFIT)
def test_what_does_not_fit_together_is_refused_before_any_request(case: str, real: Real, place: Path) -> None:
    before = len((place / "sandbox" / "exchange" / "log.jsonl").read_bytes())
    with environment(UNFIT[case]):
        assert real.bot.says("trade-once", "--force-slot").code == 2
        shown = real.bot.says("live", "status", "--json")
    if case.startswith("another mode"):
        assert shown.code == 2
    else:
        rows = {row["name"]: row for row in shown.data["conditions"]}
        with environment(UNFIT[case]):
            why = real.bot.says("why-no-orders", "--json").data
        assert rows["keys and address"]["found"] in why["explanation"]["sentence"]
        assert shown.code == 10
        assert rows["keys and address"]["state"] == "closed"
        assert rows["account"]["found"] == "not checked"
    assert len((place / "sandbox" / "exchange" / "log.jsonl").read_bytes()) == before


def test_no_flag_and_no_other_verb_goes_round_a_closed_door(real: Real) -> None:
    before = real.sent()
    with environment({"DRY_RUN": "true"}):
        assert real.trades("MSFT").code == 3
        assert real.bot.says("evaluate-exits", "--force-slot").code == 3
        assert real.bot.says("doctor", "--order").code == 3
        with at_a_terminal("ALL"):
            assert real.bot.says("flatten", "--all").code == 3
        with at_a_terminal("FLATTEN"):
            real.bot.says("halt", "--flatten")
    assert real.sent() == before
    with at_a_terminal(real.bot.tail()):
        assert real.bot.says("unhalt").code == 0


def test_behind_the_gates_a_closed_door_leaves_no_way_to_the_venue(real: Real) -> None:
    with environment({"ALLOW_ORDERS": None}), open_app(Options(str(real.bot.folder)), os.environ) as bot:
        orders, intent = bot.world(proposing=False).orders, bot.ledger.intents()[0].intent
        assert orders is not None
        for write in (orders.submit, orders.cancel):
            with pytest.raises(AssertionError, match="permission to send orders is closed"):
                write(intent)


@pytest.mark.parametrize(
    ("symbol", "changes"),
    [
        ("MSFT", {"LIVE_TRADING_ACK": "YES_I_UNDERSTAND", "TRADING_MODE": "LIVE"}),
        ("NVDA", {"ALLOW_ORDERS": "YES", "ENABLE_ORDER_EXEC": "on", "DRY_RUN": "0"}),
    ],
)
def test_other_documented_words_send_too(symbol: str, changes: dict[str, str | None], real: Real) -> None:
    before = real.sent()
    with environment(changes):
        traded = real.trades(symbol)
    assert (traded.code, traded.data["orders"]) == (0, 1), traded.out
    assert len(real.sent()) == len(before) + 1


def test_a_halt_is_another_thing_and_holds_while_armed(real: Real) -> None:
    real.bot.says("halt", "--reason", "odd fills")
    before = real.sent()
    assert real.trades("AMZN").data["refused"] == {"HALTED": 1}
    with at_a_terminal(real.bot.tail()):
        said = real.bot.says("live", "arm")
    assert "The trading state is REDUCE_ONLY, so no entries are sent." in said.out
    assert halt_switch.read(real.bot.folder).state == "REDUCE_ONLY"
    assert real.trades("AMZN").data["refused"] == {"HALTED": 1}
    assert real.sent() == before
    with at_a_terminal(real.bot.tail()):
        assert real.bot.says("unhalt").code == 0


def test_when_its_sessions_are_over_entries_are_closed_and_exits_go_on(real: Real) -> None:
    for step in ("5m", "close", "next_open", "31m"):
        assert real.sandbox.says("exchange", "tick", step).code == 0
    # Nobody has run a pass of exits for half an hour: that is told, and shuts nothing.
    (finding,) = real.bot.says("reconcile", "--json").data["findings"]
    assert (finding["kind"], finding["blocking"]) == ("missing_stop", False)
    before = real.sent()
    said = real.trades("AMZN")
    assert (said.code, said.data["refused"]) == (3, {"LIVE_ARMING_EXPIRED": 1})
    assert real.sent() == before
    shown = real.bot.says("live", "status", "--json")
    assert (shown.code, shown.data["state"]) == (10, "entries closed")
    with environment({"TRADEBOT_LIVE": None}):
        real.bot.says("evaluate-exits", "--force-slot")
        assert real.sent() == before, "a closed door keeps exits back too"
    closed = real.bot.json("evaluate-exits", "--force-slot")
    assert closed["orders"] >= 1
    assert len(real.sent()) == len(before) + closed["orders"]


def test_every_number_of_sessions_that_may_be_asked_for_is_armed_whatever_the_calendar_knew(
    real: Real, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = real_folder(real.sandbox.folder, place / "far")
    with open_app(Options(str(folder)), os.environ) as bot:
        now = bot.now()
        bot.ledger.put_sessions(us_sessions(now.date() - timedelta(days=14), now.date() + timedelta(days=20)))
    for count in (MOST_SESSIONS, 1):
        with at_a_terminal(real.bot.tail()):
            said = Bot(folder, capsys).says("live", "arm", "--sessions", str(count), "--json")
        assert (said.code, said.data["sessions"]) == (0, count), said.err


def test_armed_again_entries_go_on(real: Real) -> None:
    with at_a_terminal(real.bot.tail()):
        assert real.bot.says("live", "arm", "--sessions", "1").code == 0
    before = real.sent()
    assert real.trades("AMZN").data["orders"] == 1
    assert len(real.sent()) == len(before) + 1


def test_books_that_cannot_be_read_arm_nothing(real: Real) -> None:
    ledger = real.bot.folder / "ledger.db"
    kept = ledger.read_bytes()
    ledger.write_bytes(kept[: len(kept) // 2])
    before = real.sent()
    try:
        assert real.trades("AMZN").code in (1, 2, 3)
    finally:
        ledger.write_bytes(kept)
    assert real.sent() == before


def test_copied_folder_sends_nothing_until_a_person_lets_it_trade_instead_of_the_other(real: Real) -> None:
    copy = real._replace(
        bot=Bot(shutil.copytree(real.bot.folder, real.bot.folder.with_name("copy")), real.bot._capture)
    )
    before = real.sent()
    said = copy.trades("MSFT")
    assert (said.code, said.data["refused"]) == (3, {"FOLDER_COPIED": 1})
    assert copy.bot.says("evaluate-exits", "--force-slot").code == 3
    with at_a_terminal("ALL"):
        assert copy.bot.says("flatten", "--all").code == 3
    shown = copy.bot.says("live", "status")
    assert (shown.code, f"a copy of {real.bot.folder}, which still has this bot" in shown.out) == (10, True)
    assert "or stop its bot and run " in shown.out
    assert real.sent() == before
    assert real.bot.says("live", "take-over").code == 2
    with at_a_terminal("another"):
        assert copy.bot.says("live", "take-over").code == 3
    with at_a_terminal(real.bot.tail()), state_locks.hold(real.bot.folder, "serve", name=state_locks.SERVE_LOCK):
        assert copy.bot.says("live", "take-over").code == 6
    for now, other in ((copy, real), (real, copy)):
        with at_a_terminal(now.bot.tail()):
            assert now.bot.says("live", "take-over").code == 0
        folders = [read_marker(each.bot.folder) for each in (now, other)]
        assert [folder_identity.original(folder) for folder in folders] == [None, now.bot.folder]


def test_a_paper_bot_sends_nothing_from_a_network(real: Real, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paper = real._replace(bot=Bot(real_folder(real.sandbox.folder, place / "paper", "paper"), capsys))
    unsaid = dict.fromkeys(("TRADEBOT_LIVE", "ALLOW_ORDERS", "ENABLE_ORDER_EXEC", "DRY_RUN"))
    with environment(unsaid):
        shown = paper.bot.says("live", "status")
        assert (shown.code, f"the environment only: no {place / '.env'}" in " ".join(shown.out.split())) == (0, True)
        before = paper.sent()
        with mounted(paper.bot.folder, "cifs"):
            said = paper.trades("AMZN")
            assert (said.code, said.data["refused"]) == (3, {"STATE_ON_NETWORK": 1})
            shown = paper.bot.json("live", "status")
            assert [row["name"] for row in shown["conditions"] if row["state"] == "closed"] == ["state folder"]
        assert "STATE_ON_NETWORK" not in paper.trades("AMZN").data["refused"]
    assert paper.sent() == before


@pytest.mark.parametrize("line", ["DRY_RUN: true", 'DRY_RUN="true', "dry_run=true", "DRY_RUN="])
def test_odd_paper_gate_sends_nothing(line: str, real: Real, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paper, file, before = real._replace(bot=Bot(place / "paper", capsys)), place / ".env", real.sent()
    unsaid = dict.fromkeys(("TRADEBOT_LIVE", "ALLOW_ORDERS", "ENABLE_ORDER_EXEC", "DRY_RUN"))
    with environment(unsaid):
        for name, text in (("elsewhere", "UNRELATED=1\n"), ("odd", f"{line}\n")):
            file.write_text(text)
            file.chmod(0o600)
            shown = paper.bot.says("live", "status")
            assert shown.code == (10 if name == "odd" else 0), shown.out
            if name == "elsewhere":
                assert f"the environment, then {file}" in " ".join(shown.out.split())
        said = paper.bot.says("trade-once", "--force-slot", "--candidates", str(lines_for(real.lines, "NVDA")))
        file.unlink()
    assert said.code in (2, 3)
    assert real.sent() == before


def test_without_real_money_there_is_nothing_to_arm_and_the_gates_that_are_set_count(real: Real) -> None:
    sandbox = real.sandbox
    unsaid = dict.fromkeys(("TRADEBOT_LIVE", "ALLOW_ORDERS", "ENABLE_ORDER_EXEC", "DRY_RUN"))
    with environment(unsaid):
        assert sandbox.says("live", "status").code == 0
        refuses(sandbox.says("live", "arm"), 2, "mode sandbox doesn't trade real money")
        assert sandbox.says("fetch-flow").code == 0
        before = real.sent()
    with environment({**unsaid, "DRY_RUN": "true"}):
        said = sandbox.says("trade-once", "--force-slot", "--json")
    assert (said.code, said.data["orders"]) == (3, 0)
    assert "ORDER_GATE_CLOSED" in said.data["refused"]
    assert real.sent() == before
