"""`tradebot config`: show, check, compare, change and accept settings."""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completion import settings as setting_names
from commands.shared.declaration import VerbPurpose, changes_trading, group, verb
from commands.shared.verb_options import AccountTail, Config, Json, Report, StateDir, caller, finish, on_bot

if TYPE_CHECKING:
    from tradebot.app.wiring import App

group("config", "Show, check or approve settings.")


@verb(
    "config show",
    VerbPurpose.OPERATE,
    140,
    {"config-show/1": ("commands.config.current_config:ShownConfiguration",)},
    in_group=1,
    epilog="tradebot config show\ntradebot config show limits --origin",
)
def _show(
    key: Annotated[
        str | None, typer.Argument(help="Show only this setting or section.", autocompletion=setting_names)
    ] = None,
    origin: Annotated[bool, typer.Option("--origin", help="Show where each value comes from.")] = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show the settings in force.

    --origin adds where each value comes from. Keys are never shown.
    """
    from commands.config.show import show

    finish(show(state_dir, config, key, origin=origin), as_json)


@verb(
    "config check",
    VerbPurpose.OPERATE,
    150,
    {"config-check/1": ("commands.config.current_config:ConfigurationChecked",)},
    in_group=1,
    epilog="tradebot config check\ntradebot config check mine.yaml\ntradebot config check -",
)
def _check(
    file: Annotated[str | None, typer.Argument(help="A file to try in place of yours; - for stdin.")] = None,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Check a configuration without using it.

    Shows whether it would load, and what it would change.
    """
    from commands.config.show import check

    finish(check(state_dir, config, file), as_json)


@verb(
    "config set",
    VerbPurpose.OPERATE,
    170,
    {"config-set/1": ("commands.config.set_value:SettingChanged",)},
    epilog="tradebot config set limits.max_open_positions 5\n"
    "tradebot config set limits.max_new_entries 4 limits.max_open_positions 4 --dry-run\n"
    "tradebot config set universe '[AAPL, MSFT, NVDA]'",
)
def _set(
    settings: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY VALUE...", help="A setting's name and its new value.", autocompletion=setting_names
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference, but write nothing.")] = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Change settings in your configuration file.

    They are checked as a whole before anything is written. Comments and layout stay. A value is written as in
    the file: 5, true, null, [AAPL, MSFT] or text.
    """
    from commands.config.set_value import run

    finish(run(state_dir, config, settings, dry_run=dry_run), as_json)


@verb(
    "config diff",
    VerbPurpose.OPERATE,
    160,
    {"config-diff/1": ("commands.config.show:Diff",)},
    epilog="tradebot config diff\ntradebot config diff --json",
)
def _diff(state_dir: StateDir = None, config: Config = None, as_json: Json = False) -> None:
    """Compare settings with the accepted ones and the defaults.

    Shows where each different value comes from.
    """
    from commands.config.show import run

    finish(run(state_dir, config), as_json)


@on_bot(
    "config accept",
    VerbPurpose.OPERATE,
    180,
    {"config-accept/1": ("commands.config.current_config:Accepted",)},
    in_group=-1,
    epilog="tradebot config accept\ntradebot config accept --confirm 4321  # the account's last four characters",
)
@changes_trading
def accept(bot: "App", confirmed: AccountTail = None) -> Report:
    """Approve the settings in force.

    From then on, a setting that is looser than approved blocks entries.
    """
    from commands.config.current_config import run

    return run(bot, by=caller(), confirmed=confirmed)
