"""Tables of several bots in one database: each bot's rows are replaced by themselves, all or none of them."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import Struct

from tests.kit.values import NOW
from tradebot.adapters.exports import ExportTable, RowOwner, write
from tradebot.errors import OperatorError, TemporaryError

MAIN, OTHER = RowOwner("main", "0001", "paper"), RowOwner("other", "0002", "paper")
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
NOBODY = 65534


class Row(Struct, frozen=True):
    symbol: str
    pnl: Decimal
    price: Decimal | None
    at: datetime


def rows(*pnl: str) -> dict[str, ExportTable]:
    return {"executions": ExportTable(Row, [Row("MES", Decimal(each), None, NOW) for each in pnl])}


def read(file: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(file) as connection:
        return connection.execute(query).fetchall()


def test_a_bot_s_rows_are_replaced_and_those_of_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "books.db"
    write(str(file), MAIN, NOW, rows("1.25", "2.50"))
    write(str(file), OTHER, None, rows("10"))
    write(str(file), MAIN, NOW, rows("3.75"))
    assert read(file, "SELECT bot, symbol, SUM(pnl), COUNT(*) FROM executions GROUP BY bot, symbol ORDER BY bot") == [
        ("main", "MES", 3.75, 1),
        ("other", "MES", 10, 1),
    ]
    assert read(file, "SELECT bot, account, mode, books_at FROM bots ORDER BY bot") == [
        ("main", "0001", "paper", f"{NOW:%Y-%m-%dT%H:%M:%S}Z"),
        ("other", "0002", "paper", None),
    ]


def test_rows_of_another_account_under_the_same_name_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "books.db"
    write(str(file), MAIN, NOW, rows("1"))
    with pytest.raises(OperatorError, match="another bot named main: that bot's account ends in 0001"):
        write(str(file), OTHER._replace(bot="main"), NOW, rows("2"))
    assert read(file, "SELECT SUM(pnl) FROM executions") == [(1,)]


def test_what_can_t_be_written_changes_nothing(tmp_path: Path) -> None:
    class Broken(Struct, frozen=True):
        symbol: str
        pnl: Decimal
        price: Decimal | None
        nowhere: str

    file = tmp_path / "books.db"
    write(str(file), MAIN, NOW, rows("1"))
    with pytest.raises(OperatorError, match=r"can't be written to .*books\.db"):
        write(str(file), MAIN, NOW, {"executions": ExportTable(Broken, [Broken("MES", Decimal(2), None, "x")])})
    assert read(file, "SELECT SUM(pnl) FROM executions") == [(1,)]
    file.write_bytes(b"no database at all, but a text that is long enough to be looked at" * 20)
    with pytest.raises(OperatorError, match="can't be written"):
        write(str(file), MAIN, NOW, rows("1"))
    with pytest.raises(OperatorError, match="there is no folder"):
        write(str(tmp_path / "nowhere" / "books.db"), MAIN, NOW, rows("1"))


def test_a_server_that_isn_t_there_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(TemporaryError, match="can't be reached") as failed:
        write("postgresql://bots:hunter-two@127.0.0.1:1/books", MAIN, NOW, rows("1"))
    assert "hunter-two" not in str(failed.value)


@pytest.fixture
def server() -> Iterator[str]:
    """Return the address of a PostgreSQL server of this test's own, on a socket in its folder."""
    if not BINARIES or os.geteuid() != 0:
        pytest.skip("needs postgres")
    place = Path(os.environ["TMPDIR"]) / "postgres"
    place.mkdir()
    os.chown(place, NOBODY, NOBODY)

    def run(*words: str) -> None:
        subprocess.run(
            [str(BINARIES[-1] / words[0]), *words[1:]],
            check=True, user=NOBODY, group=NOBODY, extra_groups=[], cwd=place, timeout=60,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    run("initdb", "-D", f"{place}/data", "-U", "bots", "-A", "trust", "--no-sync")
    options = f"-c listen_addresses= -c unix_socket_directories={place} -c fsync=off"
    run("pg_ctl", "-D", f"{place}/data", "-w", "-o", options, "-l", f"{place}/log", "start")
    try:
        yield f"postgresql://bots@/postgres?host={place}"
    finally:
        run("pg_ctl", "-D", f"{place}/data", "-m", "immediate", "stop")
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.campaign
@pytest.mark.enable_socket
def test_a_server_has_the_same_rows_exact_and_a_reader_may_only_read(server: str) -> None:
    import psycopg

    exact = "0.1234567890123456789"
    write(server, MAIN, NOW, rows(exact, "1"))
    write(server, OTHER, NOW, rows("10"))
    write(server, MAIN, NOW, rows(exact))
    with psycopg.connect(server) as connection:
        found = connection.execute("SELECT bot, SUM(pnl), MIN(at) FROM executions GROUP BY bot ORDER BY bot").fetchall()
        assert found == [("main", Decimal(exact), NOW), ("other", Decimal(10), NOW)]
        connection.execute("CREATE ROLE reader LOGIN")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    with psycopg.connect(server.replace("bots@", "reader@")) as reading:
        assert reading.execute("SELECT COUNT(*) FROM executions").fetchone() == (2,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reading.execute("DELETE FROM executions")
    with pytest.raises(OperatorError, match="refused the tables"):
        write(server.replace("bots@", "reader@"), MAIN, NOW, rows("1"))
