"""A snapshot is used only with the log, market and program it was made from, and changes no state.

Every attribute of an exchange's state is in its snapshot or listed as derived.
"""

import os
import shutil
import signal
import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from exchange.tests.kit.app import SPEC, World, open_world
from exchange.tests.kit.random_commands import Commands
from exchange.tests.kit.ring import keep, replayed, snapshot_of, state_of, without_snapshot
from papervenue import private_files
from papervenue.engine.account import Account, Balances
from papervenue.engine.account_lists import History, OrderTable
from papervenue.engine.orders import Order, OrderRequest
from papervenue.exchange import open_exchange
from papervenue.market.spec import NEXT_BAR, PAPER, MarketError
from papervenue.process import create
from papervenue.snapshot.keeper import dump_state
from papervenue.snapshot.state import (
    KEPT,
    RECORDS,
    WORKED_OUT,
    Packer,
    Snapshot,
    SnapshotOrders,
    field_names,
    forget_drafts,
    part_at,
    read_snapshot,
    write_snapshot,
)
from papervenue.state import LOG_FILE, MARKET_FILE, SNAPSHOT_FILE

NewFolder = Callable[[], Path]


def traded(folder: Path, seed: int = 5, steps: int = 30) -> World:
    """Return a world in which something happened, with a snapshot in the middle of it."""
    world = open_world(folder, to="open")
    commands = Commands(world, seed)
    for number in range(steps):
        if number == steps // 2:
            keep(world.exchange, folder)
        commands.step()
    return world


@pytest.fixture(scope="module")
def busy(new_folder: NewFolder) -> Path:
    folder = new_folder()
    traded(folder)
    return folder


@pytest.fixture
def folder(busy: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(busy, tmp_path / "exchange", copy_function=shutil.copy2))


def test_finished_orders_are_read_from_the_snapshot_on_demand(folder: Path) -> None:
    world = open_world(folder)
    assert world.exchange.past.later
    shown = [world.get("/v2/orders?status=all&limit=500"), world.get("/v2/account/activities")]
    assert not world.exchange.past.later
    (folder / SNAPSHOT_FILE).unlink()
    again = open_world(folder)
    assert [again.get("/v2/orders?status=all&limit=500"), again.get("/v2/account/activities")] == shown


def test_unread_order_is_found_by_either_id_and_its_client_id_stays_taken(new_folder: NewFolder) -> None:
    folder = new_folder()
    world = open_world(folder, to="open")
    placed = world.order("AAPL", "buy", 1, client_order_id="mine").json
    world.tick(seconds=120)
    keep(world.exchange, folder)
    again = open_world(folder)
    assert again.order("AAPL", "buy", 1, client_order_id="mine").json["message"] == "client_order_id must be unique"
    assert again.exchange.past.later
    assert again.get(f"/v2/orders/{placed['id']}")["filled_qty"] == "1"
    assert again.get("/v2/orders:by_client_order_id?client_order_id=mine")["id"] == placed["id"]


def test_unread_orders_pass_unchanged_into_the_next_snapshot(folder: Path) -> None:
    for _ in range(3):
        world = open_world(folder)
        earlier = world.exchange.past.later
        world.order("SPY", "buy", 1)
        world.tick(seconds=120)
        keep(world.exchange, folder)
        assert world.exchange.past.later == earlier
    exchange = open_exchange(folder)
    assert exchange.log.known_lines == exchange.log.count
    assert len(exchange.past.later) > 1
    assert state_of(exchange) == replayed(folder)


def test_order_of_a_reset_account_stays_in_the_snapshot_while_others_refer_to_it(new_folder: NewFolder) -> None:
    """A leg that was repriced names the entry of its group, which is nobody's any more at the second snapshot."""
    folder = new_folder()
    world = open_world(folder, to="open")
    stop: dict[str, Any] = {"order_class": "oto", "stop_loss": {"stop_price": "50"}, "time_in_force": "gtc"}
    leg = world.order("AAPL", "buy", 1, **stop).json["legs"][0]
    world.tick(seconds=120)
    assert world.ask("PATCH", f"/v2/orders/{leg['id']}", {"stop_price": "51"}).status == 200
    world.tick(seconds=1)
    keep(world.exchange, folder)
    again = open_world(folder)
    assert again.exchange.past.later
    assert again.ask("POST", "/exchange/v1/reset", {"account": "main"}).status == 200
    again.tick(seconds=1)
    keep(again.exchange, folder)
    assert state_of(open_exchange(folder)) == replayed(folder)


def test_pending_effects_on_exits_continue_after_a_start_from_a_snapshot(new_folder: NewFolder) -> None:
    """A fill that the stop doesn't know of, a stop shown as held, a replacement in transit, shares kept back."""
    folder = new_folder()
    world = open_world(folder)
    rules: dict[str, Any] = {
        "told-late": {"exits_told_late": "10m"},
        "held": "legs_shown_held",
        "over": "replace_starts_over",
        "freed-late": {"shares_freed_late": "10m"},
    }
    world.ask("POST", "/exchange/v1/faults", [{"name": name, "what": what} for name, what in rules.items()])
    world.ask("POST", "/exchange/v1/latency", {"latency": "90s"})
    world.tick(to="open")
    world.tick(seconds=600)
    world.ask("POST", "/exchange/v1/journal", {"symbol": "AAPL", "qty": 30})
    last = world.get("/v2/stocks/AAPL/trades/latest")["trade"]["p"]
    placed = list[Order]()
    for target in (1, 1, 1.1):
        price = f"{last * target:.2f}"
        legs = {"take_profit": {"limit_price": price}, "stop_loss": {"stop_price": f"{last * 0.9:.2f}"}}
        answer = world.order("AAPL", "sell", 10, limit_price=price, order_class="oco", **legs)
        placed.append(world.engine.main.order(answer.json["id"]))
    filled, canceled, moved = placed
    world.ask("DELETE", f"/v2/orders/{canceled.id}")
    while not filled.filled_qty or canceled.is_open:
        world.tick(seconds=60)
    world.ask("PATCH", f"/v2/orders/{moved.id}", {"limit_price": f"{last * 1.2:.2f}"})
    assert moved.replacement is not None
    assert moved.replacement.starts_over
    assert (filled.legs[0].unheard, world.engine.main.kept_back("AAPL")) == (filled.filled_qty, canceled.remaining)
    world.exchange.commit()
    keep(world.exchange, folder)
    world.tick(seconds=1200)
    world.exchange.commit()
    assert filled.legs[0].unheard == world.engine.main.kept_back("AAPL") == 0
    events = world.events()
    again = open_world(folder)
    assert 0 < again.exchange.log.known_lines < len(events)
    assert again.events() == events
    assert state_of(again.exchange) == replayed(folder)


def test_snapshot_file_is_readable_by_its_owner_only(folder: Path) -> None:
    assert (folder / SNAPSHOT_FILE).stat().st_mode & 0o777 == 0o600


def not_believed(folder: Path) -> None:
    """Assert that a start replays the whole log, and that a snapshot made after it is believed again."""
    world = open_world(folder)
    assert world.exchange.log.known_lines == 0
    state = state_of(world.exchange)
    keep(world.exchange, folder)
    again = open_exchange(folder)
    assert again.log.known_lines == again.log.count
    assert state_of(again) == state == replayed(folder)


def size_of_log_in(folder: Path) -> int:
    """Return how many bytes of the log a folder's snapshot stands for."""
    snapshot = read_snapshot(folder)
    assert snapshot is not None
    return snapshot.log.size


def damaged(how: Callable[[bytes], bytes]) -> Callable[[Path, NewFolder], None]:
    def damage(folder: Path, new_folder: NewFolder) -> None:
        snapshot = folder / SNAPSHOT_FILE
        snapshot.write_bytes(how(snapshot.read_bytes()))

    return damage


def flip(content: bytes, offset: int) -> bytes:
    return bytes(one ^ 0x10 if at == offset % len(content) else one for at, one in enumerate(content))


def snapshot_of_another_log(folder: Path, new_folder: NewFolder, seed: int) -> None:
    """Use the snapshot of an equal market; with the same seed it even did the same, one command less."""
    other = new_folder()
    world = open_world(other, to="open")
    if seed == 5:
        world.tick(seconds=1)
    commands = Commands(world, seed)
    for _ in range(10):
        commands.step()
    keep(world.exchange, other)
    shutil.copy2(other / SNAPSHOT_FILE, folder)


def market_that_changed(folder: Path, new_folder: NewFolder) -> None:
    (folder / MARKET_FILE).write_text((folder / MARKET_FILE).read_text() + " ")


def older_log(folder: Path, new_folder: NewFolder) -> None:
    lines = (folder / LOG_FILE).read_bytes().splitlines(keepends=True)
    (folder / LOG_FILE).write_bytes(b"".join(lines[: len(lines) // 4]))


def older_log_that_went_on_differently(folder: Path, new_folder: NewFolder) -> None:
    snapshot, length = (folder / SNAPSHOT_FILE).read_bytes(), (folder / LOG_FILE).read_bytes().count(b"\n")
    older_log(folder, new_folder)
    (folder / SNAPSHOT_FILE).unlink()
    world = open_world(folder)
    commands = Commands(world, 99)
    while world.exchange.log.count < 2 * length:
        commands.step()
    (folder / SNAPSHOT_FILE).write_bytes(snapshot)


@pytest.mark.parametrize(
    "spoil",
    [
        *(damaged(partial(flip, offset=offset)) for offset in (0, 31, 32, 60, 400, -2000, -1)),
        *(damaged(itemgetter(slice(kept))) for kept in (0, 31, 32, 100, -1)),
        damaged(lambda content: content[: len(content) // 2]),
        damaged(lambda content: b"\0" * 5000),
        damaged(lambda content: b"{}"),
        partial(snapshot_of_another_log, seed=5),
        partial(snapshot_of_another_log, seed=6),
        market_that_changed,
        older_log,
        older_log_that_went_on_differently,
    ],
)
def test_start_replays_the_log_when_the_snapshot_is_damaged_or_of_another_log_or_market(
    folder: Path, new_folder: NewFolder, spoil: Callable[[Path, NewFolder], None]
) -> None:
    spoil(folder, new_folder)
    not_believed(folder)


def test_start_replays_the_log_when_another_program_made_the_snapshot(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("papervenue.snapshot.state._program", lambda: b"of tomorrow")
    not_believed(folder)


def test_start_ignores_a_link_or_a_folder_in_place_of_the_snapshot(folder: Path, tmp_path: Path) -> None:
    (folder / SNAPSHOT_FILE).symlink_to((folder / SNAPSHOT_FILE).rename(tmp_path / "elsewhere"))
    assert open_exchange(folder).log.known_lines == 0
    (folder / SNAPSHOT_FILE).unlink()
    (folder / SNAPSHOT_FILE).mkdir()
    assert open_exchange(folder).log.known_lines == 0


def test_start_with_a_snapshot_completes_a_log_that_was_cut_within_a_line(folder: Path) -> None:
    exchange = open_exchange(folder)
    whole = exchange.log.path.read_bytes()
    known = exchange.log.known_lines
    size = size_of_log_in(folder)
    for cut in range(size, len(whole), 211):
        (folder / LOG_FILE).write_bytes(whole[:cut])
        again = open_exchange(folder)
        assert again.log.known_lines == known
        assert whole.startswith(again.log.path.read_bytes())
    (folder / LOG_FILE).write_bytes(whole[: size - 1])
    assert open_exchange(folder).log.known_lines == 0


@pytest.mark.parametrize("behind", [False, True])
def test_start_with_a_snapshot_refuses_an_edited_log(folder: Path, behind: bool) -> None:
    log = (folder / LOG_FILE).read_bytes()
    size = size_of_log_in(folder)
    offset = log.index(b'"cash":"', size if behind else 0) + len(b'"cash":"')
    (folder / LOG_FILE).write_bytes(log[:offset] + bytes([log[offset] ^ 1]) + log[offset + 1 :])
    with pytest.raises(MarketError, match="doesn't match its commands"):
        open_exchange(folder)


STEPS: dict[str, tuple[object, str]] = {
    "before it is opened": (private_files, "open_own"),
    "before it is synced": (os, "fsync"),
    "before it is there": (Path, "replace"),
}


@pytest.mark.parametrize("step", STEPS)
def test_kill_while_a_snapshot_is_written_leaves_the_previous_one(folder: Path, step: str) -> None:
    world = open_world(folder)
    believed = world.exchange.log.known_lines
    child = os.fork()
    if not child:
        owner, name = STEPS[step]
        setattr(owner, name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        keep(world.exchange, folder)
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert len([*folder.glob(f"{SNAPSHOT_FILE}.*")]) == (step != "before it is opened")
    exchange = open_exchange(folder)
    assert exchange.log.known_lines == believed
    forget_drafts(folder)
    assert not [*folder.glob(f"{SNAPSHOT_FILE}.*")]
    assert state_of(exchange) == replayed(folder)


@pytest.mark.parametrize("state", [b"", b"\xc1", b"\x90", b"\x93\x80\x92\x90\x90\x90", None])
def test_start_replays_the_log_when_the_snapshot_state_is_wrong(folder: Path, state: bytes | None) -> None:
    """That would be a fault of ours, and nobody should have to know that there is a file to remove."""
    snapshot = read_snapshot(folder)
    assert snapshot is not None
    if state is None:
        world = open_world(folder)
        world.tick(seconds=3600)
        state = dump_state(world.exchange)
    write_snapshot(folder, snapshot._replace(state=state))
    assert open_exchange(folder).log.known_lines == 0


FILLS = {"next-bar": NEXT_BAR, "paper": PAPER, "slow": NEXT_BAR._replace(latency_s=40)}


@pytest.fixture(scope="module")
def markets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a fresh exchange by fill model."""
    folder = tmp_path_factory.mktemp("markets")
    for name, fill in FILLS.items():
        create(folder / name, structs.replace(SPEC, fill=fill))
    return {name: folder / name for name in FILLS}


class Cut(NamedTuple):
    """A snapshot that was taken on the way, and how many commands came before it."""

    after: int
    snapshot: Snapshot


@settings(max_examples=settings().max_examples // 5)
@given(
    seed=st.integers(0, 10**9),
    model=st.sampled_from(sorted(FILLS)),
    cuts=st.sets(st.integers(0, 60), min_size=1, max_size=3),
)
def test_start_from_a_snapshot_reaches_the_state_of_the_whole_log(
    markets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, seed: int, model: str, cuts: set[int]
) -> None:
    state_folder = tmp_path_factory.mktemp("law")
    shutil.copytree(markets[model], state_folder / "live")
    world = open_world(state_folder / "live")
    commands, snapshots = Commands(world, seed), list[Cut]()
    world.tick(to="open")
    for number in range(61):
        if number in cuts:
            snapshots.append(Cut(number, snapshot_of(world.exchange, state_folder / "live")))
        commands.step()
    log = world.exchange.log.path.read_bytes()
    expected = state_of(open_exchange(without_snapshot(state_folder / "live", state_folder / "whole")))
    assert state_of(world.exchange) == expected
    for after, snapshot in snapshots:
        folder = without_snapshot(state_folder / "live", state_folder / f"cut-{after}")
        write_snapshot(folder, snapshot)
        again = open_exchange(folder)
        assert again.log.known_lines == snapshot.log.lines
        assert again.log.path.read_bytes() == log
        assert state_of(again) == expected


@settings(max_examples=settings().max_examples // 5)
@given(
    seed=st.integers(0, 10**9),
    model=st.sampled_from(sorted(FILLS)),
    stops=st.sets(st.integers(0, 60), min_size=2, max_size=8),
)
@example(seed=272519, model="next-bar", stops={0, 39, 42})  # an account is reset between two stops
def test_restarts_change_neither_log_nor_state(
    markets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, seed: int, model: str, stops: set[int]
) -> None:
    state_folder = tmp_path_factory.mktemp("law")
    logs, states = [], []
    for name, at in (("once", set[int]()), ("again", stops)):
        shutil.copytree(markets[model], state_folder / name)
        world = open_world(state_folder / name)
        commands = Commands(world, seed)
        world.tick(to="open")
        for number in range(61):
            if number in at:
                keep(world.exchange, state_folder / name)
                commands.world = open_world(state_folder / name)
                assert commands.world.exchange.log.known_lines == world.exchange.log.count
                world = commands.world
            commands.step()
        logs.append(world.exchange.log.path.read_bytes())
        states.append(state_of(world.exchange))
    assert logs[0] == logs[1]
    assert states[0] == states[1]


FROM_THE_BEGINNING = {
    "": {
        *("stored", "market", "clock", "engine", "control", "faults", "log", "past", "faces", "staff", "order_paths"),
        *("listeners", "moved", "status_parts", "_captured", "_names_file", "_take", "_commands", "_last_line_us"),
    },
    "engine": {
        *("market", "start_us", "model", "book", "agenda", "halted", "emit", "_identity"),
        *("_prices", "_priced_us", "shown_us", "costs", "rates", "dialect", "_grids"),
    },
    "engine.agenda": {"_deeds"},
    "engine.book": set[str](),
    "faults": {"book", "halts", "_engine", "_emit", "_carry_out"},
    "faults.book": {"_calendar", "_note", "_now_s", "_noted_s", "_owed"},
    "faults.halts": {"_book", "_engine"},
    "market": {
        *("calendar", "actions", "_source", "day", "extended", "_steps", "_splits", "_changes", "_stands", "_basis"),
        *("past_minutes", "past_days", "grids", "calendars", "all_calendars", "_series", "funding_rates"),
    },
    "market.actions": set[str](),
    "control": {"_current_state"},
}
"""What a part has otherwise than by commands: what it is made with, what it works out, what a server adds.

Where a snapshot is made nothing is owed, no line is waiting, and the last line was written at the time that it is.
"""


@pytest.mark.parametrize("path", FROM_THE_BEGINNING)
def test_every_attribute_is_in_the_snapshot_or_listed_as_derived(world: World, path: str) -> None:
    assert set(KEPT) <= set(FROM_THE_BEGINNING)
    kept = set(KEPT.get(path, ()))
    assert set(vars(part_at(world.exchange, path))) == kept | FROM_THE_BEGINNING[path]
    assert not kept & FROM_THE_BEGINNING[path]


def other(value: Any, hint: Any) -> Any:
    """Return a value of a field's type that is not its default."""
    kinds = {
        str: "another",
        int: 4711,
        bool: not value,
        Decimal: Decimal("-12.3400"),
        OrderRequest: OrderRequest("AAPL", -1, "limit", "gtc", Decimal("1.50"), None, 12, stop=3),
    }
    value_kind = next((kinds[kind] for kind in (hint, *get_args(hint)) if kind in kinds), None)
    return value_kind if value_kind is not None else value


def test_order_survives_the_codec_with_every_field() -> None:
    assert all(field.init for field in fields(Order))
    assert field_names(Order) == tuple(field.name for field in fields(Order))
    hints = get_type_hints(Order)
    parent, leg = order_of(1, {}, hints), order_of(2, {}, hints)
    own = {"parent": parent, "replacement": leg, "legs": [leg, parent]}
    order = order_of(3, own, hints)
    packer, past = Packer(), SnapshotOrders()
    past.read([packer.rows([order, parent, leg])])
    again = past.find(3)
    for field in fields(Order):
        before, after = getattr(order, field.name), getattr(again, field.name)
        if field.name in own:
            assert numbers(after) == numbers(before) != numbers(None), field.name
        else:
            assert (type(after), repr(after)) == (type(before), repr(before)), field.name
            assert repr(after) != repr(field.default), field.name
    assert again.legs[0] is past.find(2)


def numbers(value: Any) -> list[int]:
    return [] if value is None else [one.sequence for one in (value if isinstance(value, list) else [value])]


def order_of(sequence: int, own: dict[str, Any], hints: dict[str, Any]) -> Order:
    """Return an order none of whose fields is what it begins with."""
    values = {field.name: other(field.default, hints[field.name]) for field in fields(Order)}
    return Order(**values | {"sequence": sequence, "parent": None, "replacement": None, "legs": []} | own)


def parts(hint: Any) -> set[type]:
    """Return the classes that a type is made of."""
    if isinstance(hint, types.UnionType) or get_origin(hint) is not None:
        inner = {part for argument in get_args(hint) for part in parts(argument)}
        return inner | ({get_origin(hint)} if isinstance(get_origin(hint), type) else set())
    return {hint} if isinstance(hint, type) else set()


@pytest.mark.parametrize("record", [*RECORDS, Order], ids=lambda record: record.__name__)
def test_records_hold_only_types_that_the_codec_writes(record: type) -> None:
    assert is_dataclass(record) or issubclass(record, tuple)
    own = {part for hint in get_type_hints(record).values() for part in parts(hint)}
    ours = {part for part in own if part.__module__.startswith("papervenue.")}
    assert ours <= {*RECORDS, Order, OrderTable, History}


def test_codec_leaves_out_only_an_account_s_cached_valuations() -> None:
    assert set(WORKED_OUT) == {Account}
    names = {field.name for field in fields(Account)}
    assert WORKED_OUT[Account] < names
    assert set(field_names(Account)) == names - WORKED_OUT[Account]
    account = Account("1", "main", "key", "secret", 0, Decimal(100))
    account.closing = Balances(Decimal(1), Decimal(2), Decimal(3))
    again = SnapshotOrders().unpacker.unpack(Packer().pack(account))
    assert again.closing == account.closing
    assert {name: getattr(again, name) for name in WORKED_OUT[Account]} == {
        name: getattr(Account("1", "main", "key", "secret", 0, Decimal(100)), name) for name in WORKED_OUT[Account]
    }


@pytest.mark.parametrize(
    "value",
    [
        *(
            Decimal(text)
            for text in ("0", "-0", "0.10", "1E+3", "1e-9", "Infinity", "123456789012345678901234567890.12")
        ),
        *({"a": [1, (2, "x")], ("AAPL", -1): None}, {"x", "y"}, frozenset({"z"}), (1, (2,)), 2**63, "\ud800"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_survives_the_codec(value: object) -> None:
    again = SnapshotOrders().unpacker.unpack(Packer().pack(value))
    assert (type(again), repr(again)) == (type(value), repr(value)) or again == value


def test_codec_refuses_an_unknown_type() -> None:
    with pytest.raises(TypeError, match="a snapshot cannot hold a object"):
        Packer().pack({"x": object()})
