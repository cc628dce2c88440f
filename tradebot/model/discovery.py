"""What was discovered of a venue's contracts: which are traded, and why others are left out. Values.

`signals.discovery` decides, `desk.discovery` asks and keeps, and `app.rules` trades what was discovered last.
"""

from datetime import datetime

from msgspec import Struct

from tradebot.model.registry import Figures, Tier

UNSORTED = "unsorted"
"""The sector of a coin that the configuration gives none: all of them share the limit on a sector."""


class Found(Struct, frozen=True):
    """One contract: since when it is known, the tier that its figures reach, and why it is left out.

    It is traded if `why` is empty. Unless it is `listed`, the venue doesn't list it any more.
    """

    symbol: str
    since: datetime
    listed: bool = True
    tier: Tier | None = None
    figures: Figures = Figures()
    why: str = ""


class Discovery(Struct, frozen=True):
    """All contracts by their symbols, as of the list that was believed last, `at` None if none ever was.

    `problem` says why the last list wasn't believed, empty if it was. Lists have been too short since `short_since`.
    """

    found: tuple[Found, ...] = ()
    at: datetime | None = None
    problem: str = ""
    short_since: datetime | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return what is traded."""
        return tuple(one.symbol for one in self.found if not one.why)

    @property
    def listed(self) -> int:
        """Return how many contracts the venue listed."""
        return sum(one.listed for one in self.found)
