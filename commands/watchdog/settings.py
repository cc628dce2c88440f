"""What a watch looks at and whom it tells: a folder of its own, so that it works when the bot's is gone."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.errors import ConfigurationError, OperatorError
from tradebot.model import variables
from tradebot.model.limits import Frozen, Seconds
from tradebot.model.text import LABEL_PATTERN, describe_validation_error

DEFAULT = "~/.tradebot-watchdog"
FILE, KEYS = "watchdog.yaml", ".env"
EXAMPLE = """channels: [phone]                  # the address of each is NOTIFY_PHONE in the .env beside this file
bots:
  main: /var/lib/tradebot/main/state     # a state folder on this machine
  other: http://127.0.0.1:8081      # or the health port of a bot, also through a tunnel to another machine
late_s: 180                         # for how long something may be wrong before it is an alarm
"""
PING = "WATCHDOG_PING"
"""Has the address of a dead-man service, which raises an alarm itself when nothing comes for too long."""

Name = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]


class WatchSettings(Frozen):
    """The bots that are watched, by a name of yours: each a state folder, or where its health port is."""

    channels: Annotated[list[Name], Field(min_length=1, max_length=20)]
    bots: Annotated[dict[Name, str], Field(min_length=1, max_length=50)]
    late_s: Seconds = 180


def folder_of(named: str | None, environ: Mapping[str, str]) -> Path:
    """Return the watch's folder: the one named, or the environment's, or the usual one."""
    return Path(named or environ.get(variables.WATCHDOG) or DEFAULT).expanduser()


def load(folder: Path) -> WatchSettings:
    """Return a watch's settings. Raises OperatorError that shows how to write them, or names what is wrong in them."""
    file = folder / FILE
    if not file.is_file():
        raise OperatorError(f"{file} isn't there, so nothing is watched", f"create it, such as:\n{EXAMPLE}")
    try:
        return WatchSettings.model_validate(load_yaml(file))
    except ValidationError as bad:
        wrong = "\n".join(
            f"{'.'.join(map(str, each['loc']))} ({file}): {describe_validation_error(each)}" for each in bad.errors()
        )
        raise ConfigurationError(wrong, f"correct it in {file}") from None


def watched_folder(bot: str) -> Path | None:
    """Return the state folder that is watched; None if it is a health port."""
    return None if bot.startswith(("http://", "https://")) else Path(os.path.expanduser(bot))
