"""Declare a verb at its function: name, purpose, position in the help, and the documents that it prints.

`commands/verbs.json` lists the declarations, so that help, hints and schemas need to import no verb. To regenerate it:
python -m tests.docs
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple, TypeVar

Act = TypeVar("Act", bound=Callable[..., Any])
Prints = Mapping[str, tuple[type | str, ...]]
"""The data types of each document, by its name and version. A type that isn't loaded yet is named "module:Type"."""

NOT_RUN = "commands.shared.skipped_passes:NotRun"
PASS = "commands.shared.pass_reports:PassData"


class VerbPurpose(Enum):
    """The purposes of verbs, in the order of the program's help."""

    TRY = "Try"
    TRADE = "Trade"
    LOOK = "Look"
    BARS = "Bars"
    OPERATE = "Operate"
    TELL = "Notify and rehearse"
    EXCHANGE = "Exchange"
    DEVELOP = "Develop"


class DeclaredVerb(NamedTuple):
    """A verb as its function declares it.

    `place` orders the verbs of a purpose. `in_group` orders the verbs within a group, and defaults to `place`. A verb
    that acts `elsewhere` creates something new, and its texts say where; all others act on a bot.
    """

    act: Callable[..., Any]
    purpose: VerbPurpose
    place: int
    prints: Prints
    epilog: str
    elsewhere: bool
    in_group: int


DECLARED: dict[str, DeclaredVerb] = {}
"""The verbs whose modules are imported, by name as typed."""
GROUPS: dict[str, str] = {}
"""The help of each group, by its words."""


def verb(
    name: str,
    purpose: VerbPurpose,
    index: int,
    prints: Prints,
    *,
    epilog: str,
    elsewhere: bool = False,
    in_group: int = 0,
) -> Callable[[Act], Act]:
    """Declare a verb; `epilog` holds its examples, one per line."""

    def declare(act: Act) -> Act:
        DECLARED[name] = DeclaredVerb(act, purpose, index, prints, epilog, elsewhere, in_group)
        return act

    return declare


def group(name: str, what: str) -> None:
    """Declare a group of verbs: the words that their names begin with, and the group's help."""
    GROUPS[name] = what


def changes_trading(act: Act) -> Act:
    """Declare that a verb trades, allows trading, or abandons positions, so that it is never suggested for a typo."""
    act.acts = True  # type: ignore[attr-defined]
    return act
