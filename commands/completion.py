"""`tradebot completion`: how to let the shell complete verbs, options, symbols, plans and settings."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.surface import Json, Report, finish
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from rich.console import Console

VARIABLE = "_TRADEBOT_COMPLETE"
"""The variable through which the script asks for values; Typer names it after the program."""
INSTALL = {
    "bash": ("echo 'eval \"$(tradebot completion bash)\"' >> ~/.bashrc", 'eval "$(tradebot completion bash)"'),
    "zsh": ("echo 'eval \"$(tradebot completion zsh)\"' >> ~/.zshrc", 'eval "$(tradebot completion zsh)"'),
    "fish": (
        "tradebot completion fish > ~/.config/fish/completions/tradebot.fish",
        "tradebot completion fish | source",
    ),
}


@dataclass(frozen=True, slots=True)
class Completion:
    """A shell's script, and the commands that load it now and in each new shell."""

    shell: str
    script: str
    now: str
    always: str


def run(shell: str | None, environ: "os._Environ[str] | dict[str, str]") -> Report:
    """Return the script of a shell; without one, how to install that of the shell in use."""
    from typer._completion_shared import get_completion_script

    wanted = shell or Path(environ.get("SHELL", "")).name
    if wanted not in INSTALL:
        raise OperatorError(
            f"there is no completion for {wanted or 'a shell that is not named'}",
            f"tradebot completion {' | '.join(INSTALL)}",
        )
    script = get_completion_script(prog_name="tradebot", complete_var=VARIABLE, shell=wanted)
    always, now = INSTALL[wanted]
    data = Completion(wanted, script, now, always)
    return Report("completion", data, lambda console: _render(console, data, script_only=shell is not None))


def _render(console: "Console", data: Completion, *, script_only: bool) -> None:
    if script_only:
        # As it is: a shell reads it, so nothing may be wrapped.
        console.out(data.script, highlight=False)
        return
    console.print(f"In this {data.shell}, now:       {data.now}", markup=False, soft_wrap=True)
    console.print(f"In every new {data.shell}:       {data.always}", markup=False, soft_wrap=True)
    console.print(
        "Then: tradebot flat<TAB>, tradebot why-no-orders A<TAB>, tradebot reconcile --apply <TAB>", markup=False
    )


def register(app: typer.Typer) -> None:
    """Put the verb on the command line."""

    @app.command("completion", epilog="Example: tradebot completion     or: tradebot completion bash")
    def completion(
        shell: Annotated[str | None, typer.Argument(help="bash, zsh or fish: print its script.")] = None,
        as_json: Json = False,
    ) -> None:
        """Tell how the shell completes verbs, options and live values, or print a shell's script."""
        finish(run(shell, os.environ), as_json)
