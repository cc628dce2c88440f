"""Check the section of a built-in strategy when the configuration is loaded."""

from collections.abc import Generator, Iterator, Mapping
from typing import TypeVar

from pydantic import ValidationError

from tradebot.model.limits import Frozen
from tradebot.model.text import expected

Settings = TypeVar("Settings", bound=Frozen)


class SectionError(ValueError):
    """What is wrong inside a section. Its arguments are a sentence about each, which begins with the setting's name."""

    def __str__(self) -> str:
        return "; ".join(self.args)


def checked(name: str, model: type[Settings], section: Mapping[str, object]) -> Generator[str, None, Settings | None]:
    """Yield what is wrong with a strategy's section; return its settings, or None if they can't be read."""
    try:
        return model.model_validate(section)
    except ValidationError as invalid:
        yield from sentences(invalid, f"strategies.{name}")
        return None


def sentences(invalid: ValidationError, where: str) -> Iterator[str]:
    """Yield a sentence about each mistake in a section, which begins with the setting's name below `where`."""
    for error in invalid.errors():
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, SectionError):
            yield from (f"{where}.{sentence}" for sentence in cause.args)
        else:
            yield f"{'.'.join([where, *map(str, error['loc'])])}: {_wrong(error)}"


def _wrong(error: Mapping[str, object]) -> str:
    return "there is no such setting" if error["type"] == "extra_forbidden" else expected(error)
