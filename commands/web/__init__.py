"""`tradebot web`: serve pages about the bot on this machine."""

import os
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.declaration import VerbPurpose, verb
from commands.shared.light_helpers import NOBODY, Identity, clean
from commands.shared.times import when
from commands.shared.verb_options import Config, Json, Report, StateDir, finish, identity, opened_to_look
from tradebot.adapters.state import service_token, state_folder
from tradebot.errors import OperatorError, TradebotError

if TYPE_CHECKING:
    from rich.console import Console

    from commands.top.screen_data import BotFolder

LOOPBACK, PORT, MOST_PORT = "127.0.0.1", 5000, 65_535
LOOPBACKS = frozenset({LOOPBACK, "::1", "localhost"})


class WebServed(Struct, frozen=True):
    """The address of the pages, and when the token was created.

    `token` is only set if it was just created, because it is shown only once. `unread` says which bots can't be read,
    and why: their rows are shown anyway.
    """

    url: str
    token: str | None
    token_made_at: datetime
    unread: tuple[str, ...] = ()


@verb(
    "web",
    VerbPurpose.TELL,
    90,
    {"web/1": (WebServed,)},
    epilog="tradebot web\ntradebot web --port 5010 --new-token\ntradebot web --bots bots/flow bots/rotation\n"
    "tradebot web --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem",
)
def web(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="FOLDER", help="With --bots: bots' folders, or a folder of them.")
    ] = None,
    bots: Annotated[bool, typer.Option("--bots", help="Show these bots in a table, each with its pages.")] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=MOST_PORT, help="Port to listen on; 0 for a free one.")] = (
        PORT
    ),
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = LOOPBACK,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate, as PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its private key, as PEM.")] = None,
    new_token: Annotated[bool, typer.Option("--new-token", help="Create a new token and revoke the old one.")] = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Serve pages about the bot on this machine.

    With the token, which is shown once, a person can view everything. The person can also halt, answer requests for
    approval, close positions, cancel orders, and annotate a trade, but nothing else. It reads the bot's own records,
    even while the bot isn't running. Any address other than this machine's own needs a certificate and its key. With
    --bots, a table leads to the pages of several bots, with one login.
    """
    _require_tls(host, tls_cert, tls_key)
    from commands.shared.service import listening, require_usable, serve_on
    from commands.top.screen_data import named_bots
    from commands.web.actions import VerbActions
    from commands.web.guard import Logins
    from commands.web.page_data import PageReader
    from commands.web.site import BaseSite, BotsSite, Site

    if tls_cert and tls_key:
        require_usable(tls_cert, tls_key)
    several = named_bots(folders or (), bots, state_dir, config, "tradebot web")
    folder = state_folder.resolve(state_dir, os.environ).absolute()
    allowed, bot_identity, unread = _known_names(several) if several else (*_known_name(folder, config), ())
    with listening(host, port, "tradebot web --port 0") as listener:
        own_folders = [bot.path for bot in several if (bot.path / state_folder.MARKER).exists()] or [folder]
        now = datetime.now(UTC)
        token, stored = service_token.create_or_load_for(own_folders, state_folder.WEB_TOKEN, now, new=new_token)
        at = listener.getsockname()[1]
        scheme, usual = ("https", 443) if tls_cert else ("http", 80)
        url = f"{scheme}://{LOOPBACK if host == 'localhost' else _in_url(host)}:{at}/"
        # Cookies are shared by all ports of a host, unlike everything else of a page.
        cookie, is_secure = f"{'__Host-' if tls_cert else ''}tradebot-{at}", tls_cert is not None
        logins = Logins(stored.fits)
        site: BaseSite
        if several:
            site = BotsSite(several, logins, cookie, is_secure=is_secure)
        else:
            reader, acting = PageReader(folder, config), VerbActions(folder, config)
            site = Site(reader, acting, logins, cookie, is_secure=is_secure)
        names = {_in_url(name).lower() for name in (LOOPBACK, "localhost", "::1", host, *allowed)}
        finish(Report("web", WebServed(url, token, stored.at, unread), _show, bot_identity=bot_identity), as_json)
        hosts = {f"{name}:{at}" for name in names} | (names if at == usual else set())
        serve_on(listener, site.application(hosts), tls_cert, tls_key)


def _known_name(folder: Path, config: str | None) -> tuple[Sequence[str], Identity]:
    """Return the host names under which a bot's pages may be requested, and the bot's identity."""
    with opened_to_look(str(folder), config) as bot:
        return bot.settings.health.hosts, identity(bot)


def _known_names(bots: "Sequence[BotFolder]") -> tuple[Sequence[str], Identity, tuple[str, ...]]:
    """Return the host names under which the pages of several bots may be requested, and which bots can't be read, and
    why.
    """
    names, unread = list[str](), list[str]()
    for bot in bots:
        try:
            names += _known_name(bot.path, None)[0]
        except (TradebotError, OSError, sqlite3.Error) as error:
            unread.append(" ".join(f"{bot.name}: {error}".split()))
    return names, NOBODY, tuple(unread)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _require_tls(host: str, cert: Path | None, key: Path | None) -> None:
    """Raise OperatorError if the token would be sent unencrypted over a network, or if TLS is only half configured."""
    example = "tradebot web --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem"
    if (cert is None) != (key is None):
        raise OperatorError("a certificate and its key only work together", example)
    for file in (cert, key):
        if file is not None and not file.is_file():
            raise OperatorError(f"{file} isn't a file that can be read", example)
    if host not in LOOPBACKS and cert is None:
        raise OperatorError(f"on {host}, the token and everything shown would go over the network unencrypted", example)


def _show(console: "Console", data: WebServed) -> None:
    console.print(f"The pages are at {data.url}", markup=False)
    for why in data.unread:
        console.print(f"Can't read {clean(why)}", markup=False)
    if data.token is None:
        console.print(f"The token created at {when(data.token_made_at)} is still valid. Next: --new-token replaces it")
    else:
        console.print(f"Token, shown only now: {data.token}", markup=False, soft_wrap=True)
