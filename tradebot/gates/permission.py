"""Permission: which doors stand between a decision and the broker, and which of them are shut.

One predicate, two uses: `permission_of` is what every pass goes by, and `tradebot live status` shows the same doors
one by one. Nothing here reads the world: what file, environment and ledger say is handed in.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tradebot.model.bar import Session
from tradebot.model.baseline import Difference
from tradebot.model.reasons import Reason
from tradebot.model.trading import Arming, Mode, Permission

PLACE = "state folder"
CONFIGURATION = "configuration"
EXITS = "exits."
"""What the names of the exit rules begin with."""
SHADOW = "shadow"
NAMED = 5
"""How many looser settings a door names; `tradebot config check` names them all."""
LONGEST = 80
"""Letters of a value that a sentence repeats."""
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
    machine's, as far as the system tells. `differences` tell the configuration from the one that was accepted; None
    where none was, or where the books cannot say.
    """

    mode: Mode
    file_mode: str
    account_number: str
    environment: Mapping[str, str]
    arming: Arming | None
    unread: str | None = None
    network: str | None = None
    read: str | None = None
    differences: tuple[Difference, ...] | None = ()
    unconfigured: str | None = None
    """Why no settings can be made of file and environment, so that the accepted ones are in force for exits."""


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
    """Return the doors that are shut, those that are shut to entries only, and when entries end."""
    closed = tuple((door.reason, door.found) for door in doors(told) if not door.open)
    armed = told.arming if told.mode is Mode.LIVE else None
    accepted = configuration(told)
    loosened = () if accepted.open else ((accepted.reason, accepted.found),)
    return Permission(closed, armed.until if armed else None, loosened)


def configuration(told: Told) -> Door:
    """Judge the settings in force by those that were accepted; this door is shut to entries only."""
    if told.unconfigured is not None:
        return Door(CONFIGURATION, Reason.CONFIG_UNREADABLE, open=False, found=told.unconfigured)
    if told.differences is None:
        found = "no accepted configuration is on record"
        return Door(CONFIGURATION, Reason.CONFIG_NOT_ACCEPTED, open=False, found=found)
    looser = [difference for difference in told.differences if difference.looser]
    found = "nothing is looser than what was accepted"
    if looser:
        more = f"; and {len(looser) - NAMED} more" if len(looser) > NAMED else ""
        found = "; ".join(map(described, looser[:NAMED])) + more
        if any(difference.name.startswith(EXITS) for difference in looser):
            found += "; exits go by the accepted rules"
    return Door(CONFIGURATION, Reason.CONFIG_LOOSENED, not looser, found)


def described(difference: Difference) -> str:
    """Return one difference in words: the setting, what was accepted, what is in force, and its source."""
    accepted = _shown(difference.approved) if difference.known else "no value"
    now = _shown(difference.now) if difference.given else "gone"
    return f"{difference.name} was accepted as {accepted} and is {now} ({difference.origin})"


def _shown(value: object) -> str:
    """Return a value as it is written in the configuration, cut short."""
    text = f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
    text = "null" if value is None else text.lower() if isinstance(value, bool) else text
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


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
    yield from _shadow_lifted(told.differences or ())
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


def _shadow_lifted(differences: Sequence[Difference]) -> Iterator[Door]:
    """Shut everything where a bot was accepted in shadow and no longer is: it was never to send exits either."""
    for difference in differences:
        if difference.name == SHADOW and difference.looser:
            yield Door(SHADOW, Reason.SHADOW_LIFTED, open=False, found=described(difference))


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
    found = f"{ACCOUNT_TAIL} is {'' if fits else 'not '}the account's …{tail}{_blanks(said, {tail.lower()})}"
    return Door(ACCOUNT_TAIL, Reason.LIVE_ACCOUNT_UNSAID, fits, found)


def _order_gate(name: str, wanted: bool, said: str | None, *, needed: bool) -> Door:
    """Judge a gate of an earlier bot: real money needs it said, elsewhere it counts where somebody says it."""
    if said is None:
        return Door(name, Reason.ORDER_GATE_CLOSED, not needed, f"{name} is not set")
    if not said:
        return Door(name, Reason.ORDER_GATE_CLOSED, open=False, found=f"{name} is set, and empty")
    meant = SPELLINGS.get(said.lower())
    word = f"no clear word{_blanks(said, SPELLINGS)}" if meant is None else "yes" if meant else "no"
    return Door(name, Reason.ORDER_GATE_CLOSED, meant is wanted, f"{name} says {word}")


def _blanks(said: str, words: Container[str]) -> str:
    """Return that blanks stand around a word that would count without them, with both to be seen; else nothing."""
    bare = said.strip()
    return f": {said!r} has a blank beside the word" if bare != said and bare.lower() in words else ""


def _acknowledgement(said: str | None) -> Door:
    """Judge the earlier bots' consent: `live arm` takes its place, so it is asked only where it is set."""
    name, reason = ACKNOWLEDGEMENT, Reason.ORDER_GATE_CLOSED
    if said is None:
        return Door(name, reason, open=True, found=f"{name} is not set: live arm takes its place")
    fits = said == UNDERSTOOD
    found = f"{name} is {'' if fits else 'not '}{UNDERSTOOD}{_blanks(said, {UNDERSTOOD.lower()})}"
    return Door(name, reason, fits, found)


def _armed(arming: Arming | None) -> Door:
    if arming is None:
        return Door("arming", Reason.LIVE_NOT_ARMED, open=False, found="nobody has armed this account")
    span = "1 session" if arming.sessions == 1 else f"{arming.sessions} sessions"
    found = f"armed by {arming.who} for {span}, entries until {arming.until:%Y-%m-%d %H:%M} UTC"
    return Door("arming", Reason.LIVE_NOT_ARMED, open=True, found=found)
