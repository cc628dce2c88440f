"""`tradebot mcp`: let an assistant look at the bot, and halt it, over the Model Context Protocol."""

import os
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.surface import VERBS, Config, Json, Report, StateDir, finish
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.adapters.state.service_token import ServiceToken

MOST_PORT = 65_535


class McpServed(Struct, frozen=True):
    """Where an assistant can ask over HTTP, and since when which token is asked for.

    `token` is only shown once, when it is made; otherwise it is None.
    """

    url: str
    token: str | None
    token_made_at: datetime


@VERBS.command(
    "mcp",
    epilog="tradebot mcp --state-dir /srv/bot/state  # as an assistant's configuration has it\n"
    "tradebot mcp --http 5010\ntradebot mcp --http 5010 --new-token",
)
def mcp(
    http: Annotated[
        int | None,
        typer.Option("--http", metavar="PORT", min=0, max=MOST_PORT, help="Serve HTTP on 127.0.0.1 [stdin, stdout]."),
    ] = None,
    new_token: Annotated[bool, typer.Option("--new-token", help="Make another token; the old one ends.")] = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let an assistant look at the bot, and halt it.

    Speaks the Model Context Protocol over stdin and stdout, or over HTTP on this machine to whoever has the token,
    which is shown once. Its tools are the verbs that look, and halt. None can trade, set, approve, or end a halt.
    Needs the extra mcp.
    """
    if find_spec("mcp") is None:
        raise OperatorError("tradebot mcp needs the extra mcp", "pip install 'tradebot[mcp]'")
    if http is None and (new_token or as_json):
        raise OperatorError("--new-token and --json belong to --http", "tradebot mcp --http 5010 --new-token")
    from commands.mcp.asking import Asking
    from commands.mcp.over_stdio import serve_stdio
    from commands.mcp.server import server_of
    from tradebot.adapters.state import state_folder

    folder = state_folder.resolve(state_dir, os.environ)
    server = server_of(Asking(folder.absolute(), config))
    if http is None:
        serve_stdio(server)
        return
    from commands.mcp.over_http import PATH, listening, serve_http

    state_folder.read_marker(folder)
    with listening(http) as listener:
        host, port = listener.getsockname()
        token, kept = _token(folder, new=new_token)
        finish(Report("mcp", McpServed(f"http://{host}:{port}{PATH}", token, kept.at), _show), as_json)
        serve_http(server, listener, kept.fits)


def _token(folder: Path, *, new: bool) -> "tuple[str | None, ServiceToken]":
    """Return the token if it is made now, and what is kept of it."""
    from tradebot.adapters.state.service_token import draw, kept

    made = draw(folder, datetime.now(UTC)) if new or kept(folder) is None else None
    stored = kept(folder)
    assert stored is not None, "it was there, or was just written"
    return made, stored


def _show(console: "Console", data: McpServed) -> None:
    from commands.shared.times import when

    console.print(f"An assistant can ask at {data.url}", markup=False)
    if data.token is None:
        console.print(f"The token is the one of {when(data.token_made_at)}. Next: --new-token makes another one")
    else:
        console.print(f"Token, shown only now: {data.token}", markup=False, soft_wrap=True)
