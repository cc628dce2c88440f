"""Permission: define the conditions for sending orders to the broker, and find those that aren't met.

The same predicates have two uses: every pass calls `permission_of`, and `tradebot live status` shows each condition.
Nothing here does I/O: the contents of file, environment and ledger are passed in.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from tradebot.model import variables
from tradebot.model.bar import Session
from tradebot.model.reasons import Reason
from tradebot.model.sentences import format_yaml_scalar
from tradebot.model.trading import Arming, Difference, Mode, Permission, RungReached

PLACE = "state folder"
CONFIGURATION = "configuration"
SHADOW = "shadow"
DISK = "disk"
LASTING = "lasting disk"
NAMED = 5
"""How many looser settings a condition lists; `tradebot config check` lists them all."""
LONGEST = 80
"""How many characters of a value a message shows, at most."""
ENVIRONMENT = "environment"
ACKNOWLEDGEMENT = "LIVE_TRADING_ACK"
UNDERSTOOD = "YES_I_UNDERSTAND"
ORDER_GATES: Mapping[str, bool] = {"ALLOW_ORDERS": True, "ENABLE_ORDER_EXEC": True, "DRY_RUN": False}
"""The order gates of earlier bots, with the value each must have for orders to be sent."""
NAMES = (variables.LIVE, *ORDER_GATES, ACKNOWLEDGEMENT)
"""The environment variables that permission reads."""
SPELLINGS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
"""The values an order gate may have, in upper or lower case. Any other value closes it."""


class PermissionInputs(Struct, frozen=True):
    """What permission depends on: the folder's and the file's mode, the account, the environment, and the arming.

    `environment` has the variables in NAMES that are set, including empty ones. `unread` says why the environment
    couldn't be read, and `read` names the environment file. `network` is the type of network file system that the state
    folder is on, if any. `differences` lists where the configuration differs from the accepted one. It is None if none
    was accepted, or if the books can't be read, for the reason in `books_unread`.
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
    """Why the file and environment don't form valid settings. Exits then follow the accepted ones."""
    free_mb: int | None = None
    """The free space for this user on the state folder's disk; None if unknown."""
    min_free_mb: int = 0
    passing: str | None = None
    """Why data in the state folder may be lost; None without evidence, or without real money."""
    in_shadow: frozenset[str] = frozenset()
    """The strategies whose entries are only simulated, as their sections say."""
    climbed: Mapping[str, RungReached] | None = None
    """Whether each strategy was promoted to real money; None if no real money is at stake."""
    awaiting_promotion: Mapping[str, RungReached] = {}
    """The strategies in shadow until they are promoted, which they aren't yet; none with real money."""
    copied_from: str | None = None
    """The original of a copied state folder, if the same bot still exists there; None if this is no copy."""
    books_unread: str | None = None
    """Why the books can't say which configuration was accepted."""


class PermissionCheck(Struct, frozen=True):
    """One condition for sending orders; `found` is the evidence, which never includes a secret."""

    name: str
    reason: Reason
    open: bool
    found: str


def permission_of(inputs: PermissionInputs) -> Permission:
    """Return which conditions fail, which of those concern only entries, and until when entries are allowed."""
    closed, to_entries = (
        tuple((condition.reason, condition.found) for condition in some if not condition.open)
        for some in (order_conditions(inputs), entry_conditions(inputs))
    )
    armed = inputs.arming if inputs.mode is Mode.LIVE else None
    climbed = inputs.climbed if inputs.mode is Mode.LIVE else None
    until = armed.until if armed else None
    return Permission(closed, until, to_entries, climbed, inputs.in_shadow, inputs.awaiting_promotion)


def entry_conditions(inputs: PermissionInputs) -> tuple[PermissionCheck, ...]:
    """Return the conditions that block only entries; exits continue, because positions need them."""
    lasts = (check_folder_lasts(inputs),) if inputs.mode is Mode.LIVE else ()
    return configuration(inputs), storage(inputs), *lasts


def configuration(inputs: PermissionInputs) -> PermissionCheck:
    """Check that the settings in force are the accepted ones; if they aren't, only entries are blocked."""
    if inputs.unconfigured is not None:
        return PermissionCheck(CONFIGURATION, Reason.CONFIG_UNREADABLE, open=False, found=inputs.unconfigured)
    if inputs.books_unread is not None:
        return PermissionCheck(
            CONFIGURATION, Reason.BOOKS_UNREADABLE, open=False, found=inputs.books_unread.rstrip(".")
        )
    if inputs.differences is None:
        detail = "no accepted configuration is on record"
        return PermissionCheck(CONFIGURATION, Reason.CONFIG_NOT_ACCEPTED, open=False, found=detail)
    looser = [difference for difference in inputs.differences if difference.looser]
    named = [*map(describe_difference, looser[:NAMED])] or ["nothing is looser than in the accepted configuration"]
    named += [f"and {len(looser) - NAMED} more"] if len(looser) > NAMED else []
    named += ["exits follow the accepted rules"] if any(map(is_about_exits, looser)) else []
    return PermissionCheck(CONFIGURATION, Reason.CONFIG_LOOSENED, not looser, "; ".join(named))


def storage(inputs: PermissionInputs) -> PermissionCheck:
    """Check that the state folder's disk has enough free space; if it doesn't, only entries are blocked.

    The space below the minimum is reserved for exits, because each order is recorded before it is sent.
    """
    free, least = inputs.free_mb, inputs.min_free_mb
    detail = "the free space is unknown" if free is None else f"{free:,} MB are free"
    return PermissionCheck(DISK, Reason.DISK_LOW, (free or 0) >= least, f"{detail}, at least {least:,} MB are needed")


def check_folder_lasts(inputs: PermissionInputs) -> PermissionCheck:
    """Refuse real money if the state folder would vanish with the machine or container; the books must outlast both."""
    detail = inputs.passing or "the state folder seems to be on a lasting disk"
    return PermissionCheck(LASTING, Reason.STATE_NOT_LASTING, inputs.passing is None, detail)


def is_about_exits(difference: Difference) -> bool:
    """Return True if a setting is an exit rule, the account's or a strategy's."""
    section, _, rest = difference.name.partition(".")
    return section == "exits" or (section == "strategies" and rest.partition(".")[2] == "exits")


def describe_difference(difference: Difference) -> str:
    """Describe one difference: the setting, its accepted and current values, and where the current one comes from."""
    if not difference.known:
        value = f"{_config_text(difference.now)}, {difference.origin}"
        return f"{difference.name} is new ({value}) and hasn't been accepted yet"
    accepted = _config_text(difference.approved)
    now = f"is {_config_text(difference.now)}" if difference.given else "was removed"
    return f"{difference.name} was accepted as {accepted} and {now} ({difference.origin})"


def _config_text(value: object) -> str:
    """Return a value as it is written in the configuration, truncated if it is long."""
    text = format_yaml_scalar(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def arming_of(sessions: Sequence[Session], count: int, who: str, at: datetime) -> Arming | None:
    """Return an arming for the next `count` sessions, including an open one, or None if too few are known."""
    coming = sorted((session for session in sessions if session.close > at), key=lambda session: session.open)[:count]
    if not coming or len(coming) < count:
        return None
    return Arming(count, coming[0].date, coming[-1].date, coming[-1].close, who, at)


def order_conditions(inputs: PermissionInputs) -> Iterator[PermissionCheck]:
    """Yield every condition of this mode, met or not. Orders are sent only if all are met."""
    detail = inputs.read if inputs.unread is None else inputs.unread
    if detail is not None:
        yield PermissionCheck(ENVIRONMENT, Reason.ORDER_GATE_CLOSED, inputs.unread is None, detail)
    if inputs.mode is not Mode.SANDBOX:
        yield _state_folder(inputs.network, inputs.copied_from)
    live = inputs.mode is Mode.LIVE
    if live:
        yield _file_mode(inputs)
        yield _account_tail(inputs)
    yield from _shadow_lifted(inputs.differences or ())
    for name, required in ORDER_GATES.items():
        yield _order_gate(name, required, inputs.environment.get(name), needed=live)
    if live:
        yield _acknowledgement(inputs.environment.get(ACKNOWLEDGEMENT))
        yield _check_arming(inputs.arming)


def _state_folder(network: str | None, copied_from: str | None) -> PermissionCheck:
    """Check that the state folder isn't a copy and that locks work there; both prevent a second bot on the account."""
    if copied_from is not None:
        detail = f"the state folder is a copy of {copied_from}, which still has this bot"
        return PermissionCheck(PLACE, Reason.FOLDER_COPIED, open=False, found=detail)
    detail = "it isn't on any known network file system"
    if network is not None:
        detail = f"the state folder is on a network file system: {network}"
    return PermissionCheck(PLACE, Reason.STATE_ON_NETWORK, network is None, detail)


def _shadow_lifted(differences: Sequence[Difference]) -> Iterator[PermissionCheck]:
    """Block all orders if the configuration was accepted in shadow mode but isn't in shadow any more."""
    for difference in differences:
        if difference.name == SHADOW and difference.looser:
            yield PermissionCheck(SHADOW, Reason.SHADOW_LIFTED, open=False, found=describe_difference(difference))


def _file_mode(inputs: PermissionInputs) -> PermissionCheck:
    is_live = inputs.file_mode == Mode.LIVE
    detail = "the configuration file says mode: live" if is_live else "the configuration file doesn't say mode: live"
    return PermissionCheck("mode", Reason.LIVE_MODE_UNSAID, is_live, detail)


def _account_tail(inputs: PermissionInputs) -> PermissionCheck:
    """Compare the value with the account's last four characters. It may be a full account number, so don't show it."""
    value, tail = inputs.environment.get(variables.LIVE), inputs.account_number[-4:]
    if value is None:
        return PermissionCheck(
            variables.LIVE, Reason.LIVE_ACCOUNT_UNSAID, open=False, found=f"{variables.LIVE} is not set"
        )
    fits = value == tail
    detail = f"{variables.LIVE} is {'' if fits else 'not '}the account's …{tail}{_blanks(value, {tail.lower()})}"
    return PermissionCheck(variables.LIVE, Reason.LIVE_ACCOUNT_UNSAID, fits, detail)


def _order_gate(name: str, required: bool, value: str | None, *, needed: bool) -> PermissionCheck:
    """Check an order gate of earlier bots. A live account requires it; otherwise it counts only if it is set."""
    if value is None:
        return PermissionCheck(name, Reason.ORDER_GATE_CLOSED, not needed, f"{name} is not set")
    if not value:
        return PermissionCheck(name, Reason.ORDER_GATE_CLOSED, open=False, found=f"{name} is set but empty")
    meaning = SPELLINGS.get(value.lower())
    if meaning is None:
        detail = f"{name} has an unclear value{_blanks(value, SPELLINGS)}"
    else:
        detail = f"{name} says {'yes' if meaning else 'no'}"
    return PermissionCheck(name, Reason.ORDER_GATE_CLOSED, meaning is required, detail)


def _blanks(value: str, words: Container[str]) -> str:
    bare = value.strip()
    return f": {value!r} has a space next to the word" if bare != value and bare.lower() in words else ""


def _acknowledgement(value: str | None) -> PermissionCheck:
    """Check the consent that earlier bots required. `live arm` replaces it, so it is checked only if set."""
    detail, fits = f"{ACKNOWLEDGEMENT} is not set; live arm replaces it", value in (None, UNDERSTOOD)
    if value is not None:
        detail = f"{ACKNOWLEDGEMENT} is {'' if fits else 'not '}{UNDERSTOOD}{_blanks(value, {UNDERSTOOD.lower()})}"
    return PermissionCheck(ACKNOWLEDGEMENT, Reason.ORDER_GATE_CLOSED, fits, detail)


def _check_arming(arming: Arming | None) -> PermissionCheck:
    if arming is None:
        return PermissionCheck("arming", Reason.LIVE_NOT_ARMED, open=False, found="this account isn't armed")
    span = "1 session" if arming.sessions == 1 else f"{arming.sessions} sessions"
    detail = f"armed by {arming.who} for {span}, entries until the close of {arming.last}"
    return PermissionCheck("arming", Reason.LIVE_NOT_ARMED, open=True, found=detail)
