"""Check the section of a built-in strategy when the configuration is loaded."""

from collections.abc import Generator, Mapping
from typing import TypeVar

from pydantic import ValidationError

from tradebot.model.limits import Frozen
from tradebot.model.text import expected

Settings = TypeVar("Settings", bound=Frozen)


def checked(name: str, model: type[Settings], section: Mapping[str, object]) -> Generator[str, None, Settings | None]:
    """Yield what is wrong with a strategy's section; return its settings, or None if they can't be read."""
    try:
        return model.model_validate(section)
    except ValidationError as invalid:
        for each in invalid.errors():
            yield f"strategies.{'.'.join([name, *map(str, each['loc'])])}: {_wrong(each)}"
        return None


def _wrong(error: Mapping[str, object]) -> str:
    return "there is no such setting" if error["type"] == "extra_forbidden" else expected(error)
