"""`tradebot completion`: show how to set up shell completion for verbs, options, symbols, plans and settings.

Typer writes and installs the scripts. This verb explains how, and prints a script for manual installation.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct
from typer._completion_shared import get_completion_script

from commands.shared.declaration import VerbPurpose, verb
from commands.shared.hints import invoked_as
from commands.shared.light_helpers import clean
from commands.shared.verb_options import Json, Report, finish
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from rich.console import Console

VARIABLE = "_TRADEBOT_COMPLETE"
"""The variable through which the script asks for values; Typer names it after the program."""
SHELLS = {
    "bash": 'eval "$(tradebot completion bash)"',
    "zsh": 'eval "$(tradebot completion zsh)"',
    "fish": "tradebot completion fish | source",
}
"""The supported shells, each with the command that loads its completion script into a running shell."""


class Completion(Struct, frozen=True):
    """A shell's completion script, and the commands that load it into this shell and into every new one.

    Run `always` in that shell, because Typer installs completion for the current shell.
    """

    shell: str
    script: str
    now: str
    always: str


def run(shell: str | None, environ: "os._Environ[str] | dict[str, str]") -> Report:
    """Return a shell's completion script or, if `shell` is None, how to install it for the current shell."""
    chosen = shell or Path(environ.get("SHELL", "")).name
    if chosen not in SHELLS:
        what = f"completion doesn't support {clean(chosen)}" if chosen else "can't determine which shell you use"
        raise OperatorError(what, f"tradebot completion {' | '.join(SHELLS)}")
    script = get_completion_script(prog_name="tradebot", complete_var=VARIABLE, shell=chosen)
    data = Completion(chosen, script, SHELLS[chosen], f"{invoked_as()} --install-completion")
    return Report("completion", data, lambda console, _: _render(console, data, script_only=shell is not None))


def _render(console: "Console", data: Completion, *, script_only: bool) -> None:
    if script_only:
        # Printed unchanged, because a shell reads it.
        console.out(data.script, highlight=False)
        return
    console.print(f"For every new {data.shell}:  {data.always}", markup=False, soft_wrap=True)
    console.print(f"For this {data.shell} only:  {data.now}", markup=False, soft_wrap=True)
    console.print("Then try: tradebot why-no-orders A<TAB>, or tradebot reconcile --apply <TAB>", markup=False)


@verb(
    "completion",
    VerbPurpose.DEVELOP,
    110,
    {"completion/1": (Completion,)},
    elsewhere=True,
    epilog="tradebot completion\ntradebot completion bash",
)
def completion(
    shell: Annotated[str | None, typer.Argument(help="Print the script for bash, zsh or fish.")] = None,
    as_json: Json = False,
) -> None:
    """Set up shell completion for verbs, options and values."""
    finish(run(shell, os.environ), as_json)
