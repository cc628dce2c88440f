"""What tests of verbs share."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from commands.compare import report as compared
from commands.report import chart, page
from commands.shared.times import venue_day

Picture = dict[str, object] | None


@pytest.fixture(scope="session", autouse=True)
def drawn_once() -> Iterator[None]:
    """Draw the same figures once for all pages: it takes longer than everything else of them."""
    drawn = dict[tuple[object, ...], Picture]()

    def picture(draw: Callable[..., Picture], figures: object) -> Picture:
        key = draw.__name__, repr(figures), repr(venue_day())
        if key not in drawn:
            drawn[key] = draw(figures)
        return drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        for module, name, draw in (
            (page, "curve", chart.curve),
            (page, "details", page.details),
            (compared, "curve", chart.curve),
        ):
            patch.setattr(module, name, partial(picture, draw))
        yield
