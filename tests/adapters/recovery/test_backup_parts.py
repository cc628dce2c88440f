"""A file that was kept in parts comes back byte for byte, whatever became of it between two backups."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.adapters.recovery import backup_parts
from tradebot.adapters.recovery.backup_parts import BLOCK, PAGE, Recipe, read_recipe
from tradebot.errors import OperatorError

SIZES = st.one_of(st.integers(0, 3 * PAGE), st.integers(BLOCK - 5, 3 * BLOCK))
EDITS = st.lists(st.tuples(st.integers(0, 3 * BLOCK), st.binary(max_size=20)), max_size=6)


def edited(content: bytes, edits: list[tuple[int, bytes]], size: int) -> bytes:
    """Return what became of a file: some bytes others, then cut or made longer."""
    for at, new in edits:
        content = content[:at] + new + content[at + len(new) :]
    return content[:size].ljust(size, b"+")


@given(st.lists(st.tuples(EDITS, SIZES), min_size=1, max_size=5))
def test_assemble_restores_every_state_byte_for_byte(states: list[tuple[list[tuple[int, bytes]], int]]) -> None:
    with TemporaryDirectory() as name:
        root, content, recipe, kept = Path(name), b"", None, list[tuple[Recipe, bytes]]()
        for number, (edits, size) in enumerate(states):
            content = edited(content, edits, size)
            (root / "file").write_bytes(content)
            recipe = backup_parts.write(root, f"part-{number}", root / "file", recipe)
            kept.append((read_recipe(recipe._asdict()), content))
        for told, wanted in kept:
            backup_parts.assemble(root, told, root / "again")
            assert (root / "again").read_bytes() == wanted


def test_write_stores_only_the_pages_that_differ(tmp_path: Path) -> None:
    file, content = tmp_path / "file", bytearray(b"".join(b"%d" % n * PAGE for n in range(10)) * 20)
    file.write_bytes(content)
    first = backup_parts.write(tmp_path, "first", file, None)
    content[BLOCK + 7] ^= 1
    file.write_bytes(content + b"more")
    second = backup_parts.write(tmp_path, "second", file, first)
    assert (tmp_path / "second").stat().st_size == PAGE + 4
    assert second.parts.keys() == {"first", "second"}


def test_write_stores_the_whole_file_when_earlier_parts_are_damaged(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * BLOCK)
    first = backup_parts.write(tmp_path, "first", file, None)
    (tmp_path / "first").write_bytes(b"x" * (BLOCK - 1) + b"y")
    file.write_bytes(b"x" * BLOCK)
    second = backup_parts.write(tmp_path, "second", file, first)
    assert second.parts.keys() == {"second"}
    backup_parts.assemble(tmp_path, second, tmp_path / "again")
    with pytest.raises(OperatorError, match="first has changed"):
        backup_parts.assemble(tmp_path, first, tmp_path / "again")


def test_require_parts_reads_each_part_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * BLOCK)
    recipe, hashed = backup_parts.write(tmp_path, "first", tmp_path / "file", None), dict[Path, str | None]()
    backup_parts.require_parts(tmp_path, recipe, hashed)
    (tmp_path / "first").unlink()
    backup_parts.require_parts(tmp_path, recipe, hashed)
    with pytest.raises(OperatorError, match="first has changed"):
        backup_parts.require_parts(tmp_path, recipe, {})


def test_write_stores_the_whole_file_after_many_parts(tmp_path: Path) -> None:
    file, recipe, most = tmp_path / "file", None, 0
    for number in range(2 * backup_parts.MAX_PARTS):
        file.write_bytes(b"".join(b"%4096d" % n for n in range(number + 1)))
        recipe = backup_parts.write(tmp_path, f"part-{number}", file, recipe)
        most = max(most, len(recipe.parts))
    assert most == backup_parts.MAX_PARTS
