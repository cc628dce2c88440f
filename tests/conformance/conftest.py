"""Each test of this room is asked at each venue, in an account of its own."""

from collections.abc import Iterator

import pytest

from tests.conformance.played import VENUES, Played, VenueAccount, playing


@pytest.fixture(scope="module", params=VENUES)
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with playing(VENUES[request.param], tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.fixture
def desk(played: Played) -> Iterator[VenueAccount]:
    yield played.desk()
    played.road.calm()
    played.control("DELETE", "/exchange/v1/faults")
