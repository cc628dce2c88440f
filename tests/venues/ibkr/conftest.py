"""One exchange for each module of this room: its time only ever goes forward."""

from collections.abc import Iterator

import pytest

from tests.kit.adapters.ibkr import Connection, Exchange, desk, exchange


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with exchange(tmp_path_factory.mktemp("tws") / "exchange") as made:
        yield made


@pytest.fixture
def one(there: Exchange) -> Iterator[Connection]:
    with desk(there.port) as made:
        yield made
    there.calm()
