"""Permission is one explained state: every condition, open and shut, with its name, its reason and its evidence."""

from datetime import timedelta

from tests.gates.test_permission import ALL_SAID, ARMING, EVERY
from tests.kit.values import NOW, SESSION
from tradebot.gates.permission import PermissionInputs, arming_of, order_conditions
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode

PLACE = ("state folder", Reason.STATE_ON_NETWORK, True, "it isn't on any known network file system")
GATE = Reason.ORDER_GATE_CLOSED


def told(known: PermissionInputs) -> list[tuple[str, Reason, bool, str]]:
    return [
        (condition.name, condition.reason, condition.open, condition.found) for condition in order_conditions(known)
    ]


def test_with_all_words_every_door_of_real_money_is_open() -> None:
    assert told(EVERY) == [
        PLACE,
        ("mode", Reason.LIVE_MODE_UNSAID, True, "the configuration file says mode: live"),
        ("TRADEBOT_LIVE", Reason.LIVE_ACCOUNT_UNSAID, True, "TRADEBOT_LIVE is the account's …5678"),
        ("ALLOW_ORDERS", GATE, True, "ALLOW_ORDERS says yes"),
        ("ENABLE_ORDER_EXEC", GATE, True, "ENABLE_ORDER_EXEC says yes"),
        ("DRY_RUN", GATE, True, "DRY_RUN says no"),
        ("LIVE_TRADING_ACK", GATE, True, "LIVE_TRADING_ACK is not set; live arm replaces it"),
        (
            "arming",
            Reason.LIVE_NOT_ARMED,
            True,
            "armed by ann/1 for 1 session, entries until the close of 2026-11-17",
        ),
    ]


def test_without_words_every_door_of_real_money_is_shut_but_the_consent_that_arming_replaced() -> None:
    assert told(PermissionInputs(Mode.LIVE, "", "912345678", {}, None, "it is a folder", "nfs4")) == [
        ("environment", GATE, False, "it is a folder"),
        ("state folder", Reason.STATE_ON_NETWORK, False, "the state folder is on a network file system: nfs4"),
        ("mode", Reason.LIVE_MODE_UNSAID, False, "the configuration file doesn't say mode: live"),
        ("TRADEBOT_LIVE", Reason.LIVE_ACCOUNT_UNSAID, False, "TRADEBOT_LIVE is not set"),
        ("ALLOW_ORDERS", GATE, False, "ALLOW_ORDERS is not set"),
        ("ENABLE_ORDER_EXEC", GATE, False, "ENABLE_ORDER_EXEC is not set"),
        ("DRY_RUN", GATE, False, "DRY_RUN is not set"),
        ("LIVE_TRADING_ACK", GATE, True, "LIVE_TRADING_ACK is not set; live arm replaces it"),
        ("arming", Reason.LIVE_NOT_ARMED, False, "this account isn't armed"),
    ]


def test_a_wrong_word_is_named_without_being_repeated() -> None:
    wrong = {**ALL_SAID, "TRADEBOT_LIVE": "0000", "ALLOW_ORDERS": "maybe", "DRY_RUN": "yes", "LIVE_TRADING_ACK": "ok"}
    shown = {name: (is_open, found) for name, _, is_open, found in told(replace(EVERY, environment=wrong))}
    assert shown["TRADEBOT_LIVE"] == (False, "TRADEBOT_LIVE is not the account's …5678")
    assert shown["ALLOW_ORDERS"] == (False, "ALLOW_ORDERS has an unclear value")
    assert shown["DRY_RUN"] == (False, "DRY_RUN says yes")
    assert shown["LIVE_TRADING_ACK"] == (False, "LIVE_TRADING_ACK is not YES_I_UNDERSTAND")


def test_the_earlier_consent_counts_where_somebody_gives_it() -> None:
    consent = replace(EVERY, environment={**ALL_SAID, "LIVE_TRADING_ACK": "YES_I_UNDERSTAND"})
    assert ("LIVE_TRADING_ACK", GATE, True, "LIVE_TRADING_ACK is YES_I_UNDERSTAND") in told(consent)


def test_outside_of_real_money_only_the_place_and_the_order_gates_are_asked() -> None:
    gates = [(name, GATE, True, f"{name} is not set") for name in ("ALLOW_ORDERS", "ENABLE_ORDER_EXEC", "DRY_RUN")]
    assert told(PermissionInputs(Mode.PAPER, "", "912345678", {}, None)) == [PLACE, *gates]
    assert told(PermissionInputs(Mode.SANDBOX, "", "912345678", {}, None, network="nfs4")) == gates


def test_an_arming_of_several_sessions_says_how_many_by_whom_and_when() -> None:
    later = replace(
        SESSION,
        date=SESSION.date + timedelta(days=1),
        open=SESSION.open + timedelta(days=1),
        close=SESSION.close + timedelta(days=1),
    )
    arming = arming_of([later, SESSION], 2, "ann/1", NOW)
    assert arming == replace(
        ARMING, sessions=2, first=SESSION.date, last=later.date, until=later.close, who="ann/1", at=NOW
    )
    assert told(replace(EVERY, arming=arming))[-1][3] == (
        "armed by ann/1 for 2 sessions, entries until the close of 2026-11-17"
    )
