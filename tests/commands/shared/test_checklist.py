"""The steps from paper to real money: what counts as done, what is missing, and what to type then."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from commands.drill.drills import DRILLS, PlayedDrill, keep
from commands.drill.stage import DrillCheck
from commands.shared.checklist import RESTORED, SESSIONS, TRADES, PaperEvidence, load_paper_evidence
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tests.kit.fakes.receivers import receiving
from tests.kit.values import ACCOUNT, CASH, NOW, SESSION, fill
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.adapters.state.events import JsonlEvents
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.event import EventKind
from tradebot.model.position import FOREIGN
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState, TradingStateRecord, as_missed

DAYS = [SESSION.date + timedelta(days=number) for number in range(SESSIONS)]


def sessions(books: SqliteLedger, job: str = "evaluate-exits", count: int = SESSIONS) -> None:
    shifts = [day - SESSION.date for day in DAYS[:count]]
    books.put_sessions([Session(SESSION.date + by, SESSION.open + by, SESSION.close + by) for by in shifts])
    for day in DAYS[:count]:
        books.claim_slot(job, day, "open+5m", "me/1", NOW)
        books.claim_slot(job, day, "open+10m", "me/1", NOW)


def trades(books: SqliteLedger, count: int = TRADES, owner: str = "flow") -> None:
    pairs = [fill(number, side=(Side.BUY, Side.SELL)[number % 2], strategy=owner) for number in range(2 * count)]
    books.apply_fills(pairs, NOW)


def halt(books: SqliteLedger, *causes: Reason, ended: bool = True) -> None:
    books.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "me", "to try it", NOW, frozenset(causes)))
    if ended:
        books.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "me", "", NOW + timedelta(minutes=1)))


def drills(books: SqliteLedger, *failed: str) -> None:
    for name in DRILLS:
        went = DrillCheck("it follows", name not in failed, "")
        keep(books.file.folder / "drills", PlayedDrill(name, "", NOW, "1", 1.0, (), (went,)))


def restored(books: SqliteLedger) -> None:
    books.claim_slot(RESTORED, SESSION.date, "20261116T210000Z-by-hand", "me/1", NOW)


DONE: dict[str, Callable[[SqliteLedger], None]] = {
    "sessions on paper": sessions,
    "trades on paper": trades,
    "halt": halt,
    "drills": drills,
    "restore": restored,
}
SHORT: dict[str, tuple[str, Callable[[SqliteLedger], None], str]] = {
    "one session less": ("sessions on paper", lambda books: sessions(books, count=SESSIONS - 1), "tradebot serve"),
    "no passes": ("sessions on paper", lambda books: sessions(books, "summary"), "tradebot serve"),
    "one trade less": ("trades on paper", lambda books: trades(books, TRADES - 1), "tradebot serve"),
    "by another program": ("trades on paper", lambda books: trades(books, owner=FOREIGN), "tradebot serve"),
    "never halted": ("halt", lambda books: None, "tradebot halt"),
    "halted itself": ("halt", lambda books: halt(books, Reason.BOOKS_OLD), "tradebot halt"),
    "still halted": ("halt", lambda books: halt(books, ended=False), "tradebot unhalt"),
    "failed drill": ("drills", lambda books: drills(books, "broker_down"), "tradebot drill run broker_down"),
    "nothing restored": ("restore", lambda books: None, "tradebot backup"),
}


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    folder = tmp_path / "paper"
    state_folder.prepare(folder)
    with closing(SqliteLedger.create(folder, ACCOUNT, NOW)) as books:
        books.open_books(CASH, SESSION.open)
    state_folder.create(folder, "paper", ACCOUNT, "user", NOW)
    halt_switch.arm(folder, "test", NOW)
    return folder


def steps(copy: Bot, paper: Path) -> dict[str, tuple[bool, str, str]]:
    rows = copy.json("live", "status", "--paper", str(paper))["checklist"]
    return {row["name"]: (row["done"], row["found"], row["next"]) for row in rows}


def test_paper_bot_that_did_everything_is_counted_and_shown(copy: Bot, paper: Path) -> None:
    with closing(SqliteLedger.open(paper)) as books:
        for made in DONE.values():
            made(books)
    found = steps(copy, paper)
    assert {name: found[name][0] for name in DONE} == dict.fromkeys(DONE, True)
    assert found["sessions on paper"][1] == f"{SESSIONS} sessions"
    assert found["trades on paper"][1] == f"{TRADES} trades"
    shown = copy.says("live", "status", "--paper", str(paper)).out
    assert "steps are done. This checklist doesn't block orders." in shown
    assert "done: a person halted it 1 time and resumed it" in shown
    assert "\n  notices: tradebot notify list\n" in shown


@pytest.mark.parametrize("case", SHORT)
def test_step_that_falls_short_is_named_with_the_next_command(case: str, copy: Bot, paper: Path) -> None:
    name, made, following = SHORT[case]
    with closing(SqliteLedger.open(paper)) as books:
        made(books)
    done, _, typed = steps(copy, paper)[name]
    assert (done, typed.startswith(f"{following} --state-dir {paper}")) == (False, True), typed


def test_without_a_paper_bot_nothing_is_counted_and_the_option_is_named(copy: Bot, tmp_path: Path) -> None:
    rows = {row["name"]: row for row in copy.json("live", "status")["checklist"]}
    assert [rows[name]["done"] for name in DONE] == [False] * len(DONE)
    assert rows["halt"]["next"].startswith("tradebot live status --paper FOLDER")
    refuses(copy.says("live", "status", "--paper", str(copy.folder)), 2, "has a sandbox bot")
    assert copy.says("live", "status", "--paper", str(tmp_path / "nothing")).code == 2


def test_channel_counts_once_its_code_was_typed_and_no_longer_once_its_address_changes(
    copy: Bot, paper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (copy.folder / "tradebot.yaml").open("a") as file:
        file.write("\nnotify: {channels: {phone: {}}}\n")
    with receiving() as receiver:
        monkeypatch.setenv("NOTIFY_PHONE", f"http://{receiver.address}/hook-of-ann")
        assert steps(copy, paper)["notices"][2] == "tradebot notify test phone"
        sent = copy.says("notify", "test", "phone")
        code = receiver.bodies().partition("--confirm ")[2][:6]
        assert (sent.code, code in sent.out) == (0, False), "only who reads the message knows the code"
        wrong = copy.says("notify", "test", "phone", "--confirm", "0" * 6)
        assert (wrong.code, code in wrong.err, steps(copy, paper)["notices"][0]) == (3, False, False)
        assert copy.says("notify", "test", "--confirm", code).code == 2
        assert copy.json("notify", "test", "phone", "--confirm", code)["confirmed"] == "phone"
        assert steps(copy, paper)["notices"] == (True, "a person has confirmed phone", "")
        monkeypatch.setenv("NOTIFY_PHONE", f"http://{receiver.address}/hook-of-ben")
        assert not steps(copy, paper)["notices"][0]


MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DAY = NOW.date()


def made(folder: Path, mode: str) -> Path:
    state_folder.prepare(folder)
    number = "DU1" if mode == "paper" else "U1"
    with closing(SqliteLedger.create(folder, number, NOW)) as books:
        books.open_books(CASH, NOW)
        books.put_sessions(
            [Session(DAY + timedelta(days=n), NOW + n * 24 * HOUR, NOW + (n * 24 + 23) * HOUR) for n in range(3)]
        )
    state_folder.create(folder, mode, number, "user", NOW, "ibkr")
    (folder / "tradebot.yaml").write_text(f"mode: {mode}\nvenue: ibkr\n")
    halt_switch.arm(folder, "test", NOW)
    return folder


@pytest.fixture
def books(tmp_path: Path) -> Iterator[SqliteLedger]:
    with closing(SqliteLedger.open(made(tmp_path / "paper", "paper"))) as ledger:
        yield ledger


def passes(books: SqliteLedger, first: datetime, last: datetime, by: str = "me/1") -> None:
    """Claim a slot every five minutes."""
    at = first
    while at <= last:
        books.claim_slot("evaluate-exits", DAY + timedelta(days=(at - NOW).days), f"{at:%H:%M}", by, at)
        at += 5 * MINUTE


def seen(books: SqliteLedger) -> PaperEvidence:
    return load_paper_evidence(books.file.folder, books)


def test_hours_between_passes_count_and_gaps_do_not(books: SqliteLedger) -> None:
    assert seen(books) == PaperEvidence(timedelta(), timedelta(), None)
    passes(books, NOW, NOW + HOUR)
    passes(books, NOW + 2 * HOUR, NOW + 5 * HOUR)
    passes(books, NOW + 6 * HOUR, NOW + 9 * HOUR, as_missed("me/1", Reason.SLOT_MISSED))
    assert seen(books) == PaperEvidence(4 * HOUR, 3 * HOUR, None)


@pytest.mark.parametrize("how", ["halt", "event", "a person's halt", "another event"])
def test_a_crash_begins_the_count_anew(how: str, books: SqliteLedger) -> None:
    passes(books, NOW, NOW + 5 * HOUR)
    at = NOW + 2 * HOUR
    if "halt" in how:
        causes = frozenset({Reason.PASS_FAULT if how == "halt" else Reason.BOOKS_OLD})
        books.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "me", "", at, causes))
    else:
        kind = EventKind.JOB_FAULT if how == "event" else EventKind.DEPENDENCY_AWAY
        JsonlEvents(books.file.folder / EVENTS).emit(kind.at(at, {}))
    begins_anew = how in ("halt", "event")
    hours = 3 if begins_anew else 5
    assert seen(books) == PaperEvidence(hours * HOUR, hours * HOUR, at if begins_anew else None)


def test_a_live_bot_is_not_armed_before_its_paper_bot_has_shown_enough(
    books: SqliteLedger, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live, paper = Bot(made(here / "live", "live"), capsys), str(books.file.folder)
    refuses(live.says("live", "arm"), 3, "this bot isn't on paper", "--paper FOLDER")
    passes(books, NOW, NOW + 22 * HOUR)
    said = live.says("live", "arm", "--paper", paper)
    assert said.code == 3
    assert "hours on paper: 22.0 of 24 hours, no crash; trades of the rehearsal: 0 trades" in said.err
    passes(books, NOW + 24 * HOUR, NOW + 26 * HOUR)
    books.apply_fills([fill(n, side=(Side.BUY, Side.SELL)[n % 2], strategy="flow") for n in range(20)], NOW)
    said = live.says("live", "arm", "--paper", paper)
    # Whatever else is missing now, it isn't the rehearsal.
    assert (said.code, "hours on paper" in said.err, "rehearsal" in said.err) == (3, False, False), said.err
