"""The report of `tradebot doctor`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradebot.judging.judgment import Judgment


@dataclass(frozen=True, slots=True)
class Health:
    """The judgments, and how many have each state; `asked` is True if broker and flow source were contacted."""

    state_dir: str
    asked: bool
    states: dict[str, int]
    judgments: "tuple[Judgment, ...]"
