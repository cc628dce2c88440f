"""Permission: which doors stand between a decision and the broker, and which of them are shut.

One predicate, two uses: `permission_of` is what every pass goes by, and `tradebot live status` shows the same doors
one by one. Nothing here reads the world: what file, environment and ledger say is handed in.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tradebot.model.bar import Session
from tradebot.model.reasons import Reason
from tradebot.model.trading import Arming, Mode, Permission

PLACE = "state folder"
ENVIRONMENT = "environment"
ACCOUNT_TAIL = "TRADEBOT_LIVE"
ACKNOWLEDGEMENT = "LIVE_TRADING_ACK"
UNDERSTOOD = "YES_I_UNDERSTAND"
ORDER_GATES: Mapping[str, bool] = {"ALLOW_ORDERS": True, "ENABLE_ORDER_EXEC": True, "DRY_RUN": False}
"""The gates of earlier bots, and what each says where orders may go out."""
NAMES = (ACCOUNT_TAIL, *ORDER_GATES, ACKNOWLEDGEMENT)
"""What permission asks of the environment."""
SPELLINGS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
"""The words of an order gate, in any case of letters; whatever else it says shuts it."""


@dataclass(frozen=True, slots=True)
class Told:
    """What permission goes by: the mode of the folder and of the file, the account, and what was said outside.

    `environment` holds the names of NAMES that are set, empty ones too; `unread` why it could not be read, and `read`
    which file was looked for beside it. `network` is the kind of file system that holds the state where that is another
    machine's, as far as the system tells.
    """

    mode: Mode
    file_mode: str
    account_number: str
    environment: Mapping[str, str]
    arming: Arming | None
    unread: str | None = None
    network: str | None = None
    read: str | None = None


@dataclass(frozen=True, slots=True)
class Door:
    """One condition for sending anything at all; `found` is the evidence, and never the text of a secret."""

    name: str
    reason: Reason
    open: bool
    found: str


def doors(told: Told) -> tuple[Door, ...]:
    """Return every door of this mode, open ones too; orders go out where none is shut."""
    return tuple(_doors(told))


def permission_of(told: Told) -> Permission:
    """Return the doors that are shut, and when entries end: an arming that has run out shuts entries only."""
    closed = tuple((door.reason, door.found) for door in doors(told) if not door.open)
    armed = told.arming if told.mode is Mode.LIVE else None
    return Permission(closed, armed.until if armed else None)


def arming_of(sessions: Sequence[Session], count: int, who: str, at: datetime) -> Arming | None:
    """Return the arming for the next `count` sessions, one that is open counted; None where too few are known."""
    coming = sorted((session for session in sessions if session.close > at), key=lambda session: session.open)[:count]
    if not coming or len(coming) < count:
        return None
    return Arming(count, coming[0].date, coming[-1].date, coming[-1].close, who, at)


def _doors(told: Told) -> Iterator[Door]:
    if told.unread is not None:
        yield Door(ENVIRONMENT, Reason.ORDER_GATE_CLOSED, open=False, found=told.unread)
    elif told.read is not None:
        yield Door(ENVIRONMENT, Reason.ORDER_GATE_CLOSED, open=True, found=told.read)
    if told.mode is not Mode.SANDBOX:
        yield _place(told.network)
    live = told.mode is Mode.LIVE
    if live:
        yield _file_mode(told)
        yield _account_tail(told)
    for name, wanted in ORDER_GATES.items():
        yield _order_gate(name, wanted, told.environment.get(name), needed=live)
    if live:
        yield _acknowledgement(told.environment.get(ACKNOWLEDGEMENT))
        yield _armed(told.arming)


def _place(network: str | None) -> Door:
    """Judge where the state lies: one account is traded by one bot as long as the locks of its folder hold."""
    if network is None:
        return Door(PLACE, Reason.STATE_ON_NETWORK, open=True, found="it lies on no network file system that is known")
    return Door(PLACE, Reason.STATE_ON_NETWORK, open=False, found=f"the state folder lies on a network: {network}")


def _file_mode(told: Told) -> Door:
    said = told.file_mode == Mode.LIVE
    found = "the configuration file says mode: live" if said else "the configuration file does not say mode: live"
    return Door("mode", Reason.LIVE_MODE_UNSAID, said, found)


def _account_tail(told: Told) -> Door:
    """Compare with the account's last four characters; what stands there instead may be a whole number: not shown."""
    said, tail = told.environment.get(ACCOUNT_TAIL), told.account_number[-4:]
    if said is None:
        return Door(ACCOUNT_TAIL, Reason.LIVE_ACCOUNT_UNSAID, open=False, found=f"{ACCOUNT_TAIL} is not set")
    fits = said == tail
    found = f"{ACCOUNT_TAIL} is the account's …{tail}" if fits else f"{ACCOUNT_TAIL} is not the account's …{tail}"
    return Door(ACCOUNT_TAIL, Reason.LIVE_ACCOUNT_UNSAID, fits, found)


def _order_gate(name: str, wanted: bool, said: str | None, *, needed: bool) -> Door:
    """Judge a gate of an earlier bot: real money needs it said, elsewhere it counts where somebody says it."""
    if said is None:
        return Door(name, Reason.ORDER_GATE_CLOSED, not needed, f"{name} is not set")
    if not said:
        return Door(name, Reason.ORDER_GATE_CLOSED, open=False, found=f"{name} is set, and empty")
    meant = SPELLINGS.get(said.lower())
    word = "no clear word" if meant is None else "yes" if meant else "no"
    return Door(name, Reason.ORDER_GATE_CLOSED, meant is wanted, f"{name} says {word}")


def _acknowledgement(said: str | None) -> Door:
    """Judge the earlier bots' consent: `live arm` takes its place, so it is asked only where it is set."""
    name, reason = ACKNOWLEDGEMENT, Reason.ORDER_GATE_CLOSED
    if said is None:
        return Door(name, reason, open=True, found=f"{name} is not set: live arm takes its place")
    fits = said == UNDERSTOOD
    return Door(name, reason, fits, f"{name} is {UNDERSTOOD}" if fits else f"{name} is not {UNDERSTOOD}")


def _armed(arming: Arming | None) -> Door:
    if arming is None:
        return Door("arming", Reason.LIVE_NOT_ARMED, open=False, found="nobody has armed this account")
    span = "1 session" if arming.sessions == 1 else f"{arming.sessions} sessions"
    found = f"armed by {arming.who} for {span}, entries until {arming.until:%Y-%m-%d %H:%M} UTC"
    return Door("arming", Reason.LIVE_NOT_ARMED, open=True, found=found)
