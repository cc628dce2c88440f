"""Permission: of all that file, environment and ledger can say, exactly what is documented lets orders out."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from tests.kit.values import NOW, desk
from tradebot.gates.permission import NAMES, PLACE, PermissionInputs, arming_of, order_conditions, permission_of
from tradebot.gates.shared_gates import permission, permission_to_enter
from tradebot.model.bar import Session
from tradebot.model.decision import Verdict
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Arming, Mode, Permission, RungReached

NUMBER = "912345678"
UNTIL = datetime(2026, 11, 17, 21, tzinfo=UTC)
ARMING = Arming(1, date(2026, 11, 17), date(2026, 11, 17), UNTIL, "ann/1", UNTIL - timedelta(hours=7))
ALL_SAID = {"TRADEBOT_LIVE": "5678", "ALLOW_ORDERS": "true", "ENABLE_ORDER_EXEC": "true", "DRY_RUN": "false"}
EVERY = PermissionInputs(Mode.LIVE, "live", NUMBER, ALL_SAID, ARMING)
"""What lets real money be traded: everything said, armed."""

YES = ("true", "TRUE", "1", "yes", "On")
NO = ("false", "False", "0", "no", "OFF")
ODD = ("true ", " true", "\uff11", "2", "y", "enabled", "truefalse", "\ufb02ase", "t\u0440ue")
"""A blank, a full-width digit, another number, words that nobody documented, letters that only look like ours."""
SPELLINGS = (None, *YES, *NO, *ODD)


def test_promotions_count_for_real_money_alone() -> None:
    climbed = {"flow": RungReached(Decimal(1), "live", "live small")}
    assert permission_of(replace(EVERY, climbed=climbed)).climbed == climbed
    assert permission_of(replace(EVERY, climbed=climbed, mode=Mode.PAPER)).climbed is None


def said(**environment: str | None) -> Mapping[str, str]:
    return {name: text for name, text in environment.items() if text is not None}


def order_gates() -> Iterator[Mapping[str, str]]:
    """Yield all 8,000 ways to set the earlier bots' three gates."""
    for allow, execute, dry in product(SPELLINGS, repeat=3):
        yield said(ALLOW_ORDERS=allow, ENABLE_ORDER_EXEC=execute, DRY_RUN=dry)


def documented(gates: Mapping[str, str], *, needed: bool) -> bool:
    """Say it once more, plainly: both say yes and DRY_RUN says no; outside of real money a gate may be left out."""
    absent = (None,) if not needed else ()
    return (
        gates.get("ALLOW_ORDERS") in (*YES, *absent)
        and gates.get("ENABLE_ORDER_EXEC") in (*YES, *absent)
        and gates.get("DRY_RUN") in (*NO, *absent)
    )


@pytest.mark.parametrize("mode", Mode)
def test_of_all_spellings_of_the_order_gates_exactly_the_documented_ones_send(mode: Mode) -> None:
    live, found = mode is Mode.LIVE, 0
    for gates in order_gates():
        told = replace(EVERY, mode=mode, environment={**gates, **said(TRADEBOT_LIVE="5678")})
        sends = documented(gates, needed=live)
        assert permission_of(told).open is sends, gates
        far = replace(told, network="nfs4")
        assert permission_of(far).open is (sends and mode is Mode.SANDBOX), gates
        found += sends
    assert found == (125 if live else 216)


TAILS = (None, "5678", "678", "05678", NUMBER, "5678 ", "8765", "\uff15\uff16\uff17\uff18", "yes", "")
FILE_MODES = ("", "live", "paper", "sandbox", "Live ")
ACKNOWLEDGEMENTS = (None, "YES_I_UNDERSTAND", "yes_i_understand", "YES_I_UNDERSTAND ", "true", "")
ARMINGS = (None, ARMING, replace(ARMING, until=ARMING.until - timedelta(days=1)))
NETWORKS = (None, "nfs4")
GATES = tuple(
    gates for gates in product((None, "true", "false", "maybe"), repeat=3)
    if sum(said != needed for said, needed in zip(gates, ("true", "true", "false"), strict=True)) <= 1
)  # fmt: skip
"""The order gates as they must be said, and with one of them said otherwise; more of them are tested above."""


def live_tellings() -> Iterator[tuple[PermissionInputs, bool]]:
    """Yield every combination of what real money takes, and whether it is the documented one."""
    every = product(FILE_MODES, TAILS, ACKNOWLEDGEMENTS, ARMINGS, GATES, NETWORKS)
    for file_mode, tail, ack, arming, gates, network in every:
        allow, execute, dry = gates
        told = PermissionInputs(
            Mode.LIVE,
            file_mode,
            NUMBER,
            said(TRADEBOT_LIVE=tail, LIVE_TRADING_ACK=ack, ALLOW_ORDERS=allow, ENABLE_ORDER_EXEC=execute, DRY_RUN=dry),
            arming,
            network=network,
        )
        all_hold = file_mode == "live" and tail == "5678" and gates == ("true", "true", "false") and network is None
        yield told, all_hold and ack in (None, "YES_I_UNDERSTAND") and arming is not None


def test_real_money_takes_every_condition_and_an_arming_that_has_ended_closes_entries_only() -> None:
    seen = set[tuple[bool, bool]]()
    for told, sends in live_tellings():
        allowed = permission_of(told)
        enters = not allowed.closed_to_entries(UNTIL)
        assert allowed.open is sends, told
        assert enters is (sends and told.arming is ARMING), told
        seen.add((sends, enters))
    assert seen == {(False, False), (True, False), (True, True)}


def test_each_closed_door_alone_closes_everything_with_its_own_reason() -> None:
    alone: dict[str, Any] = {
        "STATE_ON_NETWORK": {"network": "9p"},
        "FOLDER_COPIED": {"copied_from": "/srv/bot"},
        "LIVE_MODE_UNSAID": {"file_mode": ""},
        "LIVE_ACCOUNT_UNSAID": {"environment": {**ALL_SAID, "TRADEBOT_LIVE": "0000"}},
        "ORDER_GATE_CLOSED": {"environment": {**ALL_SAID, "DRY_RUN": "true"}},
        "LIVE_NOT_ARMED": {"arming": None},
    }
    for reason, change in alone.items():
        assert [str(found) for found, _ in permission_of(replace(EVERY, **change)).closed] == [reason]
    unread = replace(EVERY, unread=".env is accessible to other users")
    assert permission_of(unread).closed == ((Reason.ORDER_GATE_CLOSED, unread.unread),)


@pytest.mark.parametrize("mode", [Mode.SANDBOX, Mode.PAPER])
def test_without_real_money_no_consent_is_needed(mode: Mode) -> None:
    assert permission_of(PermissionInputs(mode, "", NUMBER, {}, None)) == Permission()
    assert permission_of(PermissionInputs(mode, "", NUMBER, {"LIVE_TRADING_ACK": "no"}, ARMING)) == Permission()


def test_a_state_on_a_network_keeps_back_what_a_broker_would_get_and_leaves_a_sandbox_alone() -> None:
    far = {mode: PermissionInputs(mode, "", NUMBER, {}, None, network="9p") for mode in Mode}
    assert permission_of(far[Mode.SANDBOX]) == Permission()
    closed = ((Reason.STATE_ON_NETWORK, "the state folder is on a network file system: 9p"),)
    assert permission_of(far[Mode.PAPER]).closed == closed
    assert permission_of(far[Mode.LIVE]).closed[:1] == closed
    assert [condition.name for mode in Mode for condition in order_conditions(far[mode])].count(PLACE) == 2


@pytest.mark.parametrize(
    ("free_mb", "least", "found"),
    [
        (199, 200, "199 MB are free, at least 200 MB are needed"),
        (None, 200, "the free space is unknown, at least 200 MB are needed"),
        (200, 200, None),
        (0, 0, None),
        (None, 0, None),
    ],
)
def test_a_full_disk_closes_entries_and_nothing_else(free_mb: int | None, least: int, found: str | None) -> None:
    allowed = permission_of(PermissionInputs(Mode.PAPER, "", NUMBER, {}, None, free_mb=free_mb, min_free_mb=least))
    assert allowed.open
    assert allowed.entries_closed == (((Reason.DISK_LOW, found),) if found else ())


def test_evidence_never_repeats_a_wrong_word() -> None:
    secret = "s3cret" * 3
    told = replace(EVERY, environment=dict.fromkeys(NAMES, secret))
    assert [condition.open for condition in order_conditions(told)] == [
        True,
        True,
        False,
        False,
        False,
        False,
        False,
        True,
    ]
    assert not [condition for condition in order_conditions(told) if secret in condition.found]


def test_the_moment_of_the_last_close_is_the_last_for_entries() -> None:
    allowed = permission_of(EVERY)
    assert allowed.closed_to_entries(UNTIL) == ()
    later = allowed.closed_to_entries(UNTIL + timedelta(microseconds=1))
    assert later == ((Reason.LIVE_ARMING_EXPIRED, "the last armed session has closed"),)
    assert allowed.open


def test_on_a_desk_an_arming_that_has_ended_refuses_an_entry_and_lets_an_exit_go() -> None:
    ended = desk(permission=Permission(entries_until=NOW - timedelta(seconds=1)))
    assert permission(ended).passed
    entry = permission_to_enter(ended)
    assert (entry.verdict, entry.reason) == (Verdict.FAIL, Reason.LIVE_ARMING_EXPIRED)
    assert permission_to_enter(desk(permission=Permission(entries_until=NOW))).passed


def test_an_arming_counts_the_open_session_and_those_to_come() -> None:
    sessions = [
        Session(
            date(2026, 11, day), datetime(2026, 11, day, 14, 30, tzinfo=UTC), datetime(2026, 11, day, 21, tzinfo=UTC)
        )
        for day in (18, 16, 17)
    ]
    inside, between = datetime(2026, 11, 16, 20, tzinfo=UTC), datetime(2026, 11, 16, 21, tzinfo=UTC)
    first = arming_of(sessions, 1, "ann/1", inside)
    assert first is not None
    assert (first.first, first.last, first.until) == (date(2026, 11, 16), date(2026, 11, 16), sessions[1].close)
    two = arming_of(sessions, 2, "ann/1", between)
    assert two is not None
    assert (two.first, two.last, two.sessions) == (date(2026, 11, 17), date(2026, 11, 18), 2)
    assert arming_of(sessions, 3, "ann/1", between) is None
    assert arming_of([], 0, "ann/1", between) is None
