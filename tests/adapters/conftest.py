"""The scripted server, for every adapter that speaks HTTP."""

from collections.abc import Iterator

import pytest

from tests.kit.fakes.scripted import Wire, serving


@pytest.fixture
def wire() -> Iterator[Wire]:
    with serving() as wire:
        yield wire
