"""Check that host, port, client id and mode belong together, before anything is sent."""

from collections.abc import Callable, Mapping
from functools import cache

from tradebot.adapters.wire.http import RetryPolicy
from tradebot.errors import OperatorError
from tradebot.model.trading import Mode
from tradebot.venues.ibkr.capabilities import CLIENT_ID, HOST, IBKR, PORT, TRADING_ID
from tradebot.venues.ibkr.link import IbkrLink, LinkTimeouts

PORTS: Mapping[Mode, int] = {Mode.PAPER: 4002, Mode.LIVE: 4001}
"""Where a Gateway of each kind listens, unless its settings say otherwise."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")
PAPER_MARK = "D"
"""What the numbers of accounts on paper begin with."""
_HIGHEST = 65_535, 2**31 - 1


class IbkrVenue:
    """One account behind a Gateway. The connection is made when something is asked."""

    feed = "Interactive Brokers"

    def __init__(self, mode: Mode, link: IbkrLink, before_read: Callable[[], None] = lambda: None) -> None:
        self.mode, self.link, self.before_read = mode, link, before_read
        self.place = link.place

    @property
    def base_url(self) -> str:
        """Return where the Gateway listens, for people."""
        return f"{self.place[0]}:{self.place[1]}"

    def check_account(self, number: str) -> None:
        """Raise OperatorError if an account is of another kind than the mode."""
        if self.mode is not Mode.SANDBOX and number.startswith(PAPER_MARK) is not (self.mode is Mode.PAPER):
            kind = "real money" if self.mode is Mode.PAPER else "paper"
            raise OperatorError(
                f"mode {self.mode} does not fit this Gateway: its account is one of {kind}",
                f"log the Gateway in for {self.mode} trading, and look at {PORT}",
            )


@cache
def link_to(host: str, port: int, client_id: int, reads_a_second: int = LinkTimeouts().reads_a_second) -> IbkrLink:
    """Return this process's connection to a Gateway: whoever asks in it shares one, because the client id is one's."""
    return IbkrLink(host, port, client_id, RetryPolicy(), LinkTimeouts(reads_a_second=reads_a_second))


def place_of(mode: Mode, secrets: Mapping[str, str], sandbox: tuple[str, int] | None) -> tuple[str, int, int]:
    """Return host, port and client id; raise OperatorError for what can't be one, or doesn't fit the mode."""
    client_id = _number(CLIENT_ID, secrets.get("ibkr_client_id") or str(TRADING_ID), _HIGHEST[1])
    if sandbox is not None:
        return *sandbox, client_id
    if mode is Mode.SANDBOX:
        raise OperatorError(
            f"the embedded exchange doesn't play {IBKR.title} yet", "use mode paper, with the Gateway's paper login"
        )
    host = secrets.get("ibkr_host") or LOOPBACK[0]
    if host not in LOOPBACK:
        # Neither keys nor encryption protect this socket: whoever reaches it can trade.
        raise OperatorError(
            f"{HOST} is not this machine, and the Gateway's socket is not encrypted",
            "run the Gateway beside the bot, or forward its port here through SSH",
        )
    port = _number(PORT, secrets.get("ibkr_port") or str(PORTS[mode]), _HIGHEST[0])
    other = next(kind for kind in PORTS if kind is not mode)
    if port == PORTS[other]:
        raise OperatorError(f"mode {mode} does not fit {PORT}: {port} is for {other}", f"set {PORT}={PORTS[mode]}")
    return host, port, client_id


def _number(name: str, text: str, highest: int) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= highest:
        raise OperatorError(f"{name} is not a number from 1 to {highest}", f"set {name} again, or unset it")
    return int(text)
