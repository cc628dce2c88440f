"""Files that a person names: what is in them, what the screen says of them, and what happens if they can't be.

Pictures that a person names: in two formats, the same each time, and refused with the reason.
The options --from and --to.
"""

import errno
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import typer

from commands.shared.files import cell, open_replacement, save, to_csv
from commands.shared.span_options import days_of
from commands.shared.verb_options import Report, show
from tradebot.adapters.state.state_folder import MARKER
from tradebot.errors import OperatorError

REPORT = Report("trades", None, lambda out, _: out.print("a table"))


LONG = "4 lots " + "of all that the bot ever held " * 5 + "at 2026-11-16T15:00:00Z; next: tradebot trades\n"
"""A text that a screen would change: it is too long for a line, and it has a time and a command."""


def test_a_file_has_the_text_byte_for_byte(tmp_path: Path) -> None:
    save("−1\r\n2\n", tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_bytes() == "−1\r\n2\n".encode()


@pytest.mark.parametrize(
    ("name", "why", "hint"),
    [
        ("none/a.csv", "No such file or directory", "mkdir -p {folder}/none"),
        (".", "Is a directory", "name another file"),
        ("file/a.csv", "Not a directory", "name another file"),
    ],
)
def test_a_file_that_cannot_be_written_is_named_with_the_reason(tmp_path: Path, name: str, why: str, hint: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperatorError, match=why) as refused:
        save("text", tmp_path / name)
    assert refused.value.message.startswith(str(tmp_path))
    assert refused.value.hint == hint.format(folder=tmp_path)


def _fill_the_disk(file: Path) -> None:
    with open_replacement(file) as part:
        part.write_text("half of the new")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_keeps_its_old_text_and_its_mode_until_the_new_one_is_whole(tmp_path: Path) -> None:
    file, link = tmp_path / "a.csv", tmp_path / "link.csv"
    save("old", file)
    file.chmod(0o600)
    link.symlink_to(file)
    with pytest.raises(OperatorError, match="No space left on device"):
        _fill_the_disk(link)
    assert (file.read_text(), sorted(tmp_path.iterdir())) == ("old", [file, link])
    save("new", link)
    assert (file.read_text(), file.stat().st_mode & 0o777, link.is_symlink()) == ("new", 0o600, True)


def test_device_is_written_to_and_not_replaced() -> None:
    save("text", Path(os.devnull))
    assert not Path(os.devnull).is_file()


def test_file_of_a_bot_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / MARKER).touch()
    save("mine", tmp_path / "trades.csv")
    with pytest.raises(OperatorError, match="is in a bot's folder"):
        save("mine", tmp_path / "ledger.db")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (Decimal("1E+2"), "100"),
        (datetime(2026, 11, 16, 15, tzinfo=UTC), "2026-11-16T15:00:00Z"),
        (("AAPL", "MSFT"), "AAPL MSFT"),
        (0, "0"),
    ],
)
def test_csv_cells_are_written_like_json_values(value: object, text: str) -> None:
    assert cell(value) == text


def test_screen_names_the_csv_file_instead_of_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show(to_csv(REPORT, LONG, tmp_path / "a.csv", "4 lots", below=("gain 3 [USD]",), apart=("only on stderr",)))
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == LONG
    assert capsys.readouterr() == (f"4 lots written to {tmp_path / 'a.csv'}\ngain 3 [USD]\n", "")


def test_csv_on_stdout_is_the_text_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        to_csv(REPORT, LONG, Path("-"), "4 lots", below=("only on the screen",), apart=("no advice",))
    assert capsys.readouterr() == (LONG, "no advice\n")


@pytest.mark.parametrize(
    ("first", "last", "message", "hint"),
    [
        ("monday", None, "--from monday is not a date", "write --from 2026-11-16"),
        (None, "2026-13-01", "--to 2026-13-01 is not a date", "write --to 2026-11-16"),
        (
            "2026-11-17",
            "2026-11-16",
            "--from 2026-11-17 is after --to 2026-11-16",
            "write --from 2026-11-16 --to 2026-11-17",
        ),
    ],
)
def test_bad_span_is_refused(first: str | None, last: str | None, message: str, hint: str) -> None:
    with pytest.raises(OperatorError) as refused:
        days_of(first, last)
    assert (str(refused.value), refused.value.hint) == (message, hint)
