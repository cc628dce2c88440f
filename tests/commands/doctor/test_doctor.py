"""`tradebot doctor`: each row has evidence, each failure its fix, and looking changes nothing.

The doctor's rows one by one, on a scripted venue and flow source: what fails, what warns, and with which fix.
"""

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from commands.doctor import machine, venue
from commands.doctor.machine import CheckResult, attempt
from commands.doctor.run import strategies
from papervenue import process
from tests.kit.adapters.alpaca import account_row, order_row, reader
from tests.kit.adapters.alpaca import venue as scripted_venue
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, blank, log, second_session
from tests.kit.bot.state import accept
from tests.kit.fakes.scripted import Asked, Scripted, Wire, serving
from tradebot.adapters.flow.unusual_whales import UnusualWhales
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.state import halt_switch, state_folder, state_locks
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.app.keys import Secrets
from tradebot.app.rules import rules_of
from tradebot.app.settings import Settings, load
from tradebot.app.venues import driver_for
from tradebot.desk.fetching import needed_facts
from tradebot.errors import OperatorError, TemporaryError
from tradebot.judging.judgment import HealthState, Judgment
from tradebot.model.bar import Session
from tradebot.model.fact_kind import AnyKind
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.model.venue_day import VenueDay
from tradebot.ports.world import Rules
from tradebot.strategies.flow import FlowStrategy
from tradebot.venues.alpaca.parsers import read_order
from tradebot.venues.alpaca.reader import AlpacaReader
from tradebot.venues.alpaca.wire import AlpacaVenue
from tradebot.venues.door import VenueDriver

AT = datetime(2026, 11, 16, 14, tzinfo=UTC)
# Put together here, so that no text in the tree looks like a key.
PAPER_KEY, LIVE_KEY = "PK" + "0" * 18, "AK" + "0" * 18
SECRET, FLOW_KEY = "s" * 40, "u" * 36
NOT_NEEDED_OFFLINE = ("alpaca", "requests", "pandas", "exchange_calendars", "uvicorn")
Hurt = Callable[[Path], object]


def told(bot: Bot, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code and the rows by subject, without asking anybody unless other arguments say so."""
    said = bot.says("doctor", *(arguments or ("--offline",)), "--json")
    return said.code, {row["subject"]: row for row in said.data["judgments"]}


def rows(bot: Bot, *arguments: str) -> dict[str, dict[str, Any]]:
    return {row["subject"]: row for row in bot.json("doctor", *arguments)["judgments"]}


def marks(bot: Bot, *arguments: str) -> dict[str, str]:
    return {name: row["state"] for name, row in rows(bot, *arguments).items()}


def steady(text: str) -> str:
    """Return a screen without what differs between machines and runs."""
    text = re.sub(r"tradebot [\d.]+, Python [\d.]+, SQLite [\d.]+, alpaca-py [\d.]+", "VERSIONS", text)
    text = re.sub(r"\(\d+ versions", "(N versions", text)
    text = re.sub(r"installed: .* (?=\(11 extras)", "installed: EXTRAS ", text)
    text = re.sub(r"[\d,]+ of [\d,]+ MB free[^()]*(?= \()", "ROOM", text)
    text = re.sub(r"\d+ settings", "N settings", text)
    text = re.sub(r"\(1 backup, \d+ (s|min) old\)", "(1 backup)", text)
    text = re.sub(r"answers in \d+ ms", "answers in N ms", text)
    text = re.sub(r"no /\S+/\.env", "no ENV", text)
    text = re.sub(r"by user \w+/\d+: armed", "by WHO: armed", text)
    text = re.sub(r"[\d,]+ of 50,000 daily calls", "N of 50,000 daily calls", text)
    return re.sub(r"\(\d+ (pages|records|answers|files)", r"(N \1", text)


def real(folder: Path, mode: str = "paper", number: str = "PA3TESTTEST") -> Path:
    """Make the state of a real account's bot, without asking anybody."""
    state_folder.prepare(folder)
    ledger = SqliteLedger.create(folder, number, AT)
    ledger.open_books(Decimal(100_000), AT)
    ledger.close()
    halt_switch.arm(folder, "test", AT)
    state_folder.create(folder, mode, number, "user", AT)
    accept(folder)
    return folder


@pytest.fixture
def paper(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bot:
    for name, value in (("ALPACA_KEY", PAPER_KEY), ("ALPACA_SECRET", SECRET), ("UW_API_KEY", FLOW_KEY)):
        monkeypatch.setenv(name, value)
    return Bot(real(here / "paper"), capsys)


def test_screen_shows_each_row_with_its_evidence(bot: Bot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    second_session(bot)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "500")
    screen = steady(blank(bot.says("doctor").out, bot.folder)).replace(bot.tail(), "TAIL")
    shown = [line.split(maxsplit=1) for line in screen.splitlines()]
    said = [(mark, re.sub(r"\s+", " ", rest)) for mark, rest in shown]
    assert said == [
        ("sandbox,", "account …TAIL, state STATE; broker and flow source contacted"),
        ("OK", "state a user bot, mode sandbox, account …TAIL (1 marker)"),
        ("OK", "versions VERSIONS (N versions with their supported ranges)"),
        ("OK", "extras installed: EXTRAS (11 extras of this program)"),
        ("OK", "permissions only its owner can access STATE (drwx------) (N files of the state folder)"),
        ("SKIPPED", ".env there is no ENV, so keys can only come from the environment"),
        ("OK", "second instance no other tradebot is running on this folder (5 locks and other folders)"),
        ("SKIPPED", "keys not needed: the embedded exchange has its own keys"),
        ("SKIPPED", "flow key not needed: the embedded exchange serves its own flow"),
        ("OK", "strategies working: flow (1 strategy)"),
        ("OK", "config N settings read (N settings)"),
        ("OK", "disk ROOM (1 disk)"),
        ("OK", "ledger intact, of this account; 4 records (N pages of ledger.db)"),
        ("OK", "journal intact up to record 4, the last one in the ledger (N records)"),
        ("OK", "books books and broker agree (1 comparison)"),
        ("OK", "backup 1 backup kept, the last of session 2026-11-16 (1 backup)"),
        ("OK", "calendar 82 sessions ahead, until 2027-03-17 (82 sessions)"),
        ("OK", "facts 1 pass recorded (1 pass)"),
        ("OK", "halts ACTIVE by WHO: armed (1 trading state)"),
        ("OK", "permission orders may be sent (1 mode)"),
        ("OK", "events can be appended to; 3 events read (1 file)"),
        ("OK", "plans STATE/plans is a folder (1 folder)"),
        ("OK", "broker http://127.0.0.1:PORT answers in N ms: 2026-11-17 10:00:00 ET, the session is open (1 clock)"),
        (
            "OK",
            "account …TAIL is the account of these books, ACTIVE; cash 100,000.00, equity 100,000.00 USD (1 account)",
        ),
        ("OK", "other copies 0 of 0 open orders from this bot, all recorded in these books (1 list of open orders)"),
        ("OK", "quotes feed sandbox: 4 of 4 symbols have prices (4 quotes)"),
        ("OK", "bars feed sandbox: 4 of 4 symbols have prices (4 bars, 60 s old)"),
        ("SKIPPED", "data plan the embedded exchange has no data plans"),
        ("OK", "clock the exchange's clock and its engine are 0.0 s apart; at most 60 s is allowed (2 clocks)"),
        ("OK", "broker calendar stored sessions agree with the broker's until 2026-12-01 (10 sessions)"),
        (
            "OK",
            "flow 6 of 6 endpoints answer; N of 50,000 daily calls used; a session needs at most 484 calls (6 "
            "endpoints)",
        ),
        ("26", "OK, 4 SKIPPED"),
    ]


def test_doctor_order_is_placed_and_cancelled_and_the_books_agree(bot: Bot) -> None:
    before = len(log(bot.url))
    said = bot.says("doctor", "--order", "--json")
    order, cancel = said.data["judgments"][-2:]
    happened = [event for event in log(bot.url)[before:] if event["event"].startswith("order_")]
    assert [event["event"] for event in happened] == ["order_accepted", "order_new", "order_canceled"]
    assert (said.code, order["state"], cancel["state"]) == (0, "OK", "OK")
    assert "recorded, sent, and new at the broker" in order["found"]
    assert cancel["found"] == "canceled at the broker, 0 filled"
    assert bot.json("reconcile")["findings"] == []
    kinds = [json.loads(line)["kind"] for line in (bot.folder / "journal.jsonl").read_text().splitlines()]
    assert kinds[4:] == ["promised", "settled"] * 2


def test_doctor_names_other_processes_on_the_folder(bot: Bot) -> None:
    with state_locks.hold_all(bot.folder, "a test"):
        found = rows(bot, "--offline")["second instance"]
    assert found["state"] == "OK"
    assert re.match(r"running now: (a test, process \d+, since [^;]*(; |$)){4}$", found["found"])


def test_doctor_offline_starts_no_exchange_and_imports_nothing_heavy(bot: Bot) -> None:
    process.stop(bot.folder / "exchange")
    code = (
        "import sys; from tradebot.__main__ import main; done = main(sys.argv[1:]); "
        f"loaded = [n for n in {NOT_NEEDED_OFFLINE!r} if n in sys.modules]; sys.exit(repr(loaded) if loaded else done)"
    )
    arguments = ["doctor", "--offline", "--state-dir", str(bot.folder)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert process.running_endpoint(bot.folder / "exchange") is None


def test_doctor_refuses_order_with_offline(bot: Bot) -> None:
    assert bot.says("doctor", "--offline", "--order").code == 2


def other_ledger(folder: Path) -> None:
    with sqlite3.connect(folder / "ledger.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def dangling(folder: Path) -> None:
    (folder / "tradebot.yaml").unlink()
    (folder / "tradebot.yaml").symlink_to(folder / "gone.yaml")


def replaced_by_folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def entered(folder: Path) -> None:
    folder.chmod(0o711)
    (folder / "ledger.db").chmod(0o620)


def no_plans(folder: Path) -> None:
    (folder / "plans").rename(folder / ".p")
    (folder / "plans").touch()


DAMAGE: list[tuple[str, str, str, Hurt]] = [
    ("state", "FAILED", "is damaged", lambda folder: (folder / "state.id").write_text("{")),
    ("state", "FAILED", "the books existed, and are lost", lambda folder: (folder / "ledger.db").unlink()),
    ("ledger", "FAILED", "was written by another version", other_ledger),
    ("config", "FAILED", "did you mean limits", lambda folder: (folder / "tradebot.yaml").write_text("limit: {}")),
    ("config", "FAILED", "a link that leads nowhere", dangling),
    ("permissions", "FAILED", "change ledger.db", entered),
    ("strategies", "FAILED", "gone is", lambda at: (at / "tradebot.yaml").write_text("strategies: {gone: {}}")),
    ("events", "FAILED", "is not a file", lambda folder: replaced_by_folder(folder / "system_events.jsonl")),
    ("plans", "FAILED", "not a folder", no_plans),
    ("permissions", "DEGRADED", "other users can read", lambda folder: folder.chmod(0o755)),
    ("halts", "DEGRADED", "REDUCE_ONLY", lambda folder: (folder / "HALT").touch()),
    ("config", "DEGRADED", "without a sector", lambda at: (at / "tradebot.yaml").write_text("universe: [ZZZ]")),
    ("events", "DEGRADED", "1 of 1 line can't be", lambda at: (at / "system_events.jsonl").write_text("torn\n")),
]
"""What `health` doesn't judge, or not by these faults; its own tests ask every judging verb about the books."""


@pytest.mark.parametrize(("name", "state", "says", "hurt"), DAMAGE)
def test_damage_is_found_with_a_fix_and_left_alone(copy: Bot, name: str, state: str, says: str, hurt: Hurt) -> None:
    hurt(copy.folder)
    code, found = told(copy)
    assert (code, found[name]["state"]) == (10 if state == "FAILED" else 0, state)
    assert says in found[name]["found"]
    assert found[name]["next"]
    # What nobody can read without the ledger has failed with it.
    assert {row["found"] for row in found.values() if row["state"] == "FAILED"} <= {found[name]["found"]}
    assert list(copy.folder.glob("*.damaged*")) == []


def test_folder_writable_by_others_fails_state_and_permissions(copy: Bot) -> None:
    copy.folder.chmod(0o777)
    code, found = told(copy)
    assert (code, {name for name, row in found.items() if row["state"] == "FAILED"}) == (10, {"state", "permissions"})
    assert found["state"]["next"].startswith(f"chmod go-w {copy.folder}")
    assert "other users can change" in found["permissions"]["found"]


def test_raising_strategy_fails_online_and_is_found_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raising.py").write_text(
        "class Raising:\n    def __init__(self, settings):\n        raise OSError('no')\n"
    )
    info = tmp_path / "raising-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: raising\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tradebot.strategies]\nraising = raising:Raising\n")
    monkeypatch.syspath_prepend(tmp_path)
    used = load(None, {}, {"strategies": {"raising": {}}}).settings
    assert strategies(used, tmp_path / "state", ask=False).found == "installed, not run: flow, raising"
    asked = strategies(used, tmp_path / "state", ask=True)
    assert (asked.state, "raising: STRATEGY_FAILED (OSError: no" in asked.found) == ("FAILED", True)
    assert "tradebot strategy test" in asked.fix


def test_matching_paper_keys_are_named_but_never_shown(paper: Bot) -> None:
    said = paper.says("doctor", "--offline", "--json")
    found = {row["subject"]: row for row in said.data["judgments"]}
    assert (found["keys"]["state"], found["flow key"]["state"], said.code) == ("OK", "OK", 0)
    assert found["keys"]["found"].startswith("ALPACA_KEY from the environment, ALPACA_SECRET from the environment")
    assert not [key for key in (PAPER_KEY, SECRET, FLOW_KEY) if key in said.out + said.err]


def test_missing_flow_key_fails_and_no_made_up_flow_replaces_it(paper: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UW_API_KEY", "ALPACA_KEY"):
        monkeypatch.delenv(name)
    code, found = told(paper, "--json")
    assert (code, found["flow key"]["state"], found["keys"]["state"]) == (10, "FAILED", "FAILED")
    assert "NOT CONFIGURED" in found["flow key"]["found"]
    assert "the bot never uses made-up flow instead" in found["flow key"]["next"]
    # Without keys nobody is asked.
    assert {found[name]["state"] for name in ("broker", "account", "quotes", "data plan", "clock", "flow")} == {
        "SKIPPED"
    }


def test_missing_key_of_a_news_service_is_said_and_a_present_one_named(paper: Bot, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("mode: paper\nnews: {source: marketaux}\n")
    found = rows(paper, "--offline", "--config", str(mine))
    assert found["news key"]["found"] == "news is NOT CONFIGURED: MARKETAUX_API_KEY is not set"
    assert found["news key"]["next"].endswith("features that count news are missing")
    Path(".env").write_text(f"MARKETAUX_API_KEY={SECRET}\n")
    Path(".env").chmod(0o600)
    found = rows(paper, "--offline", "--config", str(mine))
    assert (found["news key"]["state"], found["news key"]["found"]) == ("OK", "MARKETAUX_API_KEY from .env")


def test_env_file_fails_if_readable_by_others_and_works_if_private(paper: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UW_API_KEY")
    Path(".env").write_text(f"UW_API_KEY={FLOW_KEY}\n")
    Path(".env").chmod(0o644)
    assert rows(paper, "--offline")[".env"]["next"] == "chmod 600 .env"
    Path(".env").rename("keys")
    Path(".env").symlink_to("nowhere")
    assert rows(paper, "--offline")[".env"]["found"] == ".env: No such file or directory"
    Path("keys").rename(".env")
    Path(".env").chmod(0o600)
    found = rows(paper, "--offline")
    assert (found[".env"]["state"], found["flow key"]["found"]) == ("OK", "UW_API_KEY from .env")


def test_second_folder_of_the_same_account_fails(paper: Bot, tmp_path: Path) -> None:
    assert marks(paper, "--offline")["second instance"] == "OK"
    real(tmp_path / "state" / "copy")
    found = rows(paper, "--offline")["second instance"]
    assert (found["state"], "state/copy" in found["found"]) == ("FAILED", True)


@pytest.mark.parametrize("mode", ["live", "shadow"])
def test_doctor_order_is_refused_with_real_money_or_in_shadow(
    mode: str, paper: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bot = paper
    if mode == "live":
        monkeypatch.setenv("ALPACA_KEY", LIVE_KEY)
        bot = Bot(real(tmp_path / "live", "live", "912345678"), capsys)
        assert marks(bot, "--offline")["permission"] == "DEGRADED"
    else:
        (bot.folder / "tradebot.yaml").write_text("shadow: true")
    refuses(bot.says("doctor", "--order"), 3, "doctor --order places an order")


def test_doctor_order_is_not_placed_while_halted(bot: Bot) -> None:
    bot.says("halt", "--reason", "test")
    before = log(bot.url)
    code, found = told(bot, "--order")
    assert code == 10
    assert [found[name]["state"] for name in ("halts", "order", "cancel")] == ["DEGRADED", "FAILED", "SKIPPED"]
    assert "HALTED" in found["order"]["found"]
    assert log(bot.url) == before


def test_no_state_checks_machine_and_proposes_init(bot: Bot, here: Path) -> None:
    code, found = told(bot, "--state-dir", "nothing")
    assert (code, found["state"]["state"], len(found) > 3) == (10, "FAILED", True)
    assert found["state"]["next"].startswith("tradebot init --state-dir nothing")
    assert not (here / "nothing").exists()


OK, FAILED, SKIPPED = HealthState.OK, HealthState.FAILED, HealthState.SKIPPED
DEGRADED = HealthState.DEGRADED
NUMBER = "SBX123456789"
SUBSCRIPTION = {"code": 42210000, "message": "subscription does not permit querying recent SIP data"}
ANSWERS = "x-uw-token-req-limit"
USED = "x-uw-daily-req-count"


@dataclass
class FakeApp:
    """A paper bot whose venue and flow source are scripted; its ledger is in memory."""

    wire: Wire
    mode: Mode = Mode.PAPER
    settings: Settings = field(default_factory=lambda: load(None, {}, {"universe": ["AAPL", "MSFT"]}).settings)
    secrets: Secrets = field(default_factory=lambda: Secrets("flow", {"alpaca_key": "key", "alpaca_secret": "secret"}))
    ledger_view: MemoryLedger = field(default_factory=lambda: MemoryLedger(NUMBER))

    feed: str = "iex"

    @property
    def day(self) -> VenueDay:
        return self.settings.day

    @property
    def driver(self) -> VenueDriver:
        return driver_for("alpaca")

    @property
    def drift(self) -> DriftTally:
        return DriftTally()

    @property
    def connection(self) -> AlpacaVenue:
        return replace(scripted_venue(self.wire), feed=self.feed)

    @cached_property
    def reader(self) -> AlpacaReader:
        return reader(self.wire)

    @property
    def flow(self) -> UnusualWhales:
        return UnusualWhales(self.wire.url, "flow", now=self.now)

    @property
    def rules(self) -> Rules:
        return rules_of(self.settings, self.settings.exits)

    @property
    def needed_facts(self) -> Mapping[AnyKind, Sequence[str]]:
        return needed_facts([FlowStrategy(self.settings.strategies.in_use()["flow"])], self.rules)

    def now(self) -> datetime:
        return self.reader.clock().now


@pytest.fixture
def app() -> Iterator[FakeApp]:
    with serving() as wire:
        yield FakeApp(wire)


def clock_row(now: datetime, *, is_open: bool = True) -> dict[str, object]:
    later = {name: (now + timedelta(hours=n)).isoformat() for n, name in enumerate(("next_close", "next_open"), 1)}
    return {"timestamp": now.isoformat(), "is_open": is_open, **later}


def says(app: FakeApp, **paths: object) -> None:
    """Let each path (its last part, dashes as underscores) give an answer; the clock tells this machine's time."""
    answers = {"clock": clock_row(datetime.now(UTC))} | paths

    def answer(asked: Asked) -> Scripted:
        found = answers.get(asked.path.rpartition("/")[2].replace("-", "_"))
        if callable(found):
            found = found(asked)
        return found if isinstance(found, Scripted) else Scripted(200, found)

    app.wire.script = answer


def looked(look: Callable[..., CheckResult], app: FakeApp) -> Judgment:
    return attempt("row", lambda: look(app))


def snapshot(at: datetime) -> dict[str, object]:
    stamp = at.isoformat()
    return {"latestQuote": {"t": stamp, "bp": 99, "ap": 101}, "latestTrade": {"t": stamp, "p": 100}}


def test_keys_of_another_account_fail(app: FakeApp) -> None:
    says(app, account=account_row(account_number="PA9OTHER"))
    assert "the broker answers for account …THER, but these books belong to …6789" in looked(venue.account, app).found
    says(app, account=account_row(account_number=NUMBER))
    assert looked(venue.account, app).state is OK


@pytest.mark.parametrize("change", [{"trading_blocked": True}, {"status": "ACCOUNT_CLOSED"}])
def test_a_blocked_account_fails(app: FakeApp, change: dict[str, object]) -> None:
    says(app, account=account_row(account_number=NUMBER, **change))
    assert looked(venue.account, app).state is FAILED


def test_refused_keys_fail_and_nobody_else_is_asked(app: FakeApp) -> None:
    says(app, clock=Scripted(401, {"message": "unauthorized."}), market_tide={"data": []})
    rows = {row.subject: row for row in venue.venue_checks(app, with_keys=True)}  # type: ignore[arg-type]
    assert rows["broker"].state is FAILED
    assert "ALPACA_KEY" in rows["broker"].next
    assert {rows[name].state for name in venue.BROKER_CHECKS} == {SKIPPED}
    assert {asked.path for asked in app.wire.asked if asked.path.startswith("/v2")} == {"/v2/clock"}


def test_an_open_order_of_another_copy_of_the_bot_fails(app: FakeApp) -> None:
    ours = order_row(client_order_id="tb1.261120.FLOW.AAPL.OPEN.STRANGE")
    says(
        app,
        account=account_row(account_number=NUMBER),
        positions=[],
        orders=[ours, order_row(client_order_id="mine", id="2")],
    )
    found = looked(venue.other_copies, app)
    assert (found.state, found.count) == (FAILED, 2)
    says(app, account=account_row(account_number=NUMBER), positions=[], orders=[order_row(client_order_id="mine")])
    assert looked(venue.other_copies, app).state is OK


def test_a_stop_that_was_sent_with_its_entry_is_ours_although_it_has_no_mark_of_its_own(app: FakeApp) -> None:
    row = order_row(client_order_id="stop of it")
    app.ledger_view.apply_orders([read_order(row, DriftTally())], datetime(2026, 11, 16, 15, tzinfo=UTC))
    foreign = order_row(client_order_id="mine", id="2")
    says(app, account=account_row(account_number=NUMBER), positions=[], orders=[row, foreign])
    found = looked(venue.other_copies, app)
    assert (found.state, found.found) == (OK, "1 of 2 open orders from this bot, all recorded in these books")


@pytest.mark.parametrize(("age_s", "is_open", "state"), [(5, True, OK), (500, True, FAILED), (500, False, OK)])
def test_old_quotes_fail_only_in_an_open_session(app: FakeApp, age_s: int, is_open: bool, state: HealthState) -> None:
    now = datetime.now(UTC)
    quote = snapshot(now - timedelta(seconds=age_s))
    says(app, clock=clock_row(now, is_open=is_open), snapshots={"AAPL": quote, "MSFT": quote})
    found = looked(venue.quotes, app)
    assert (found.state, found.count, round(found.age_s or 0)) == (state, 2, age_s)


def test_missing_quote_warns_and_names_its_symbol_and_no_quotes_fail(app: FakeApp) -> None:
    says(app, snapshots={"AAPL": snapshot(datetime.now(UTC))})
    found = looked(venue.quotes, app)
    assert (found.state, "MSFT" in found.found) == (DEGRADED, True)
    says(app, snapshots={})
    assert looked(venue.quotes, app).state is FAILED


def test_bars_are_counted_and_aged(app: FakeApp) -> None:
    stamp = (datetime.now(UTC) - timedelta(seconds=60)).isoformat()
    says(app, latest={"bars": {"AAPL": {"t": stamp}, "MSFT": {"t": stamp}}})
    found = looked(venue.bars, app)
    assert (found.state, found.count, round(found.age_s or 0)) == (OK, 2, 60)
    says(app, latest={"bars": {"AAPL": {"t": "noon"}}})
    assert looked(venue.bars, app).state is FAILED


def test_plan_without_sip_is_distinguished_from_refused_keys(app: FakeApp) -> None:
    says(app, latest=Scripted(403, SUBSCRIPTION))
    found = looked(venue.data_plan, app)
    assert (found.state, found.found) == (OK, "the plan includes IEX but not SIP; feed iex matches it")
    assert app.wire.asked[-1].query["feed"] == "sip"
    app.feed = "sip"
    assert looked(venue.data_plan, app).next == "Set alpaca.feed: iex, or subscribe to the plan that includes SIP"
    says(app, latest=Scripted(403, {"message": "forbidden."}))
    assert "ALPACA_KEY" in looked(venue.data_plan, app).next
    says(app, latest={"bars": {}})
    assert "the plan includes SIP" in looked(venue.data_plan, app).found


@pytest.mark.parametrize(("ahead_s", "state"), [(0, OK), (60, FAILED), (-60, FAILED)])
def test_clock_that_differs_from_the_venue_fails(app: FakeApp, ahead_s: int, state: HealthState) -> None:
    says(app, clock=lambda asked: clock_row(datetime.now(UTC) - timedelta(seconds=ahead_s)))
    found = looked(venue.clock_skew, app)
    assert found.state is state
    assert ahead_s <= 0 or "60.0 s ahead of the broker" in found.found


def test_calendar_that_differs_from_the_venue_fails(app: FakeApp) -> None:
    now = datetime(2026, 11, 20, 15, tzinfo=UTC)
    days = [{"date": "2026-11-20", "open": "09:30", "close": "16:00"}]
    says(app, clock=clock_row(now), calendar=days)
    assert looked(venue.venue_calendar, app).state is SKIPPED
    opens = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
    for hours, state in ((6.5, OK), (3.5, FAILED)):
        app.ledger_view.put_sessions([Session(date(2026, 11, 20), opens, opens + timedelta(hours=hours))])
        assert looked(venue.venue_calendar, app).state is state


@pytest.mark.parametrize(("used", "limit", "state"), [(10, 15_000, OK), (14_000, 15_000, DEGRADED), (0, 100, DEGRADED)])
def test_flow_row_shows_plan_and_remaining_quota(app: FakeApp, used: int, limit: int, state: HealthState) -> None:
    page = Scripted(200, {"data": []}, {ANSWERS: str(limit), USED: str(used)})
    app.wire.script = lambda asked: page
    found = looked(venue.flow, app)
    assert (found.state, found.count) == (state, 6)
    assert f"{used:,} of {limit:,} daily calls used" in found.found


def test_endpoint_missing_from_the_flow_plan_fails(app: FakeApp) -> None:
    def answer(asked: Asked) -> Scripted:
        lacking = asked.path.endswith("oi-change")
        return Scripted(403, {"message": "not in your plan"}) if lacking else Scripted(200, {"data": []})

    app.wire.script = answer
    found = looked(venue.flow, app)
    assert (found.state, found.count) == (FAILED, 5)
    assert "5 of 6 endpoints answer" in found.found
    assert "not in your plan" in found.found


@pytest.mark.parametrize(("lacking", "state", "count"), [("", FAILED, 0), ("oi-change", DEGRADED, 5)])
def test_unknown_endpoint_of_the_flow_is_no_answer(app: FakeApp, lacking: str, state: HealthState, count: int) -> None:
    app.wire.script = lambda asked: Scripted(404 if asked.path.endswith(lacking) else 200, {"data": []})
    found = looked(venue.flow, app)
    assert (found.state, found.count) == (state, count)
    assert f"{count} of 6 endpoints answer" in found.found
    assert "not found" in found.found


def test_flow_source_that_refuses_the_key_is_asked_once(app: FakeApp) -> None:
    app.wire.script = lambda asked: Scripted(401, {})
    found = looked(venue.flow, app)
    assert (found.state, len(app.wire.asked)) == (FAILED, 1)
    assert "UW_API_KEY" in found.next


@pytest.mark.parametrize("error", [OperatorError("bad"), TemporaryError("bad"), OSError("bad")])
def test_expected_error_becomes_a_failed_row(error: Exception) -> None:
    def look() -> CheckResult:
        raise error

    found = attempt("row", look)
    assert (found.state, found.found, bool(found.next)) == (FAILED, "bad", True)


@pytest.mark.parametrize(
    ("needed", "problem"),
    [("no-such-package>=1", "no-such-package is missing"), ("pytest<1", "pytest "), ("pytest[x]>=1,<1000", "None")],
)
def test_missing_package_or_one_out_of_its_range_is_named(needed: str, problem: str) -> None:
    assert str(machine.out_of_range(Requirement(needed))).startswith(problem)


def test_file_of_another_user_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ledger.db").touch()
    monkeypatch.setattr("os.geteuid", lambda: 4242)
    found = machine.permissions(tmp_path)
    assert (found.state, "ledger.db" in found.found) == (FAILED, True)
