"""`tradebot mcp`: let an assistant query the bot, and halt it, over the Model Context Protocol."""

import os
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.mcp.tools import ToolRunner
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.times import when
from commands.shared.verb_options import Config, Json, Report, StateDir, finish
from tradebot.adapters.state import state_folder
from tradebot.adapters.state.service_token import create_or_load
from tradebot.adapters.text.extras import install
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from rich.console import Console

MOST_PORT = 65_535


class McpServed(Struct, frozen=True):
    """The address of the HTTP server for assistants, and when its token was created.

    `token` is only shown once, when it is created; otherwise it is None.
    """

    url: str
    token: str | None
    token_made_at: datetime


@verb(
    "mcp",
    VerbPurpose.TELL,
    100,
    {"mcp/1": (McpServed,)},
    epilog="tradebot mcp --state-dir /srv/bot/state  # the command for an assistant's configuration\n"
    "tradebot mcp --http 5010\ntradebot mcp --http 5010 --new-token",
)
def mcp(
    http: Annotated[
        int | None,
        typer.Option("--http", metavar="PORT", min=0, max=MOST_PORT, help="Serve HTTP on 127.0.0.1 [stdin, stdout]."),
    ] = None,
    new_token: Annotated[bool, typer.Option("--new-token", help="Create a new token and revoke the old one.")] = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let an assistant query the bot, and halt it.

    Speaks the Model Context Protocol over stdin and stdout, or over HTTP on this machine to whoever has the token,
    which is shown once. The assistant can use `halt` and the verbs that only read. It can't trade, change settings,
    approve anything, or end a halt. Needs the extra mcp.
    """
    if find_spec("mcp") is None:
        raise OperatorError("tradebot mcp needs the extra mcp", install("mcp"))
    if http is None and (new_token or as_json):
        raise OperatorError("--new-token and --json belong to --http", "tradebot mcp --http 5010 --new-token")
    from commands.mcp.server import serve_stdio, server_of

    folder = state_folder.resolve(state_dir, os.environ)
    server = server_of(ToolRunner(folder.absolute(), config))
    if http is None:
        serve_stdio(server)
        return
    from commands.mcp.server import HOST, PATH, application
    from commands.shared.service import listening, serve_on

    state_folder.read_marker(folder)
    with listening(HOST, http, "tradebot mcp --http 0") as listener:
        host, port = listener.getsockname()
        token, service_token = create_or_load(folder, state_folder.MCP_TOKEN, datetime.now(UTC), new=new_token)
        finish(Report("mcp", McpServed(f"http://{host}:{port}{PATH}", token, service_token.at), _show), as_json)
        serve_on(listener, application(server, port, service_token.fits))


def _show(console: "Console", data: McpServed) -> None:
    console.print(f"An assistant can connect to {data.url}", markup=False)
    if data.token is None:
        console.print(f"The token created at {when(data.token_made_at)} is still valid. Next: --new-token replaces it")
    else:
        console.print(f"Token, shown only now: {data.token}", markup=False, soft_wrap=True)
