"""What a process has in use is what the system says, and what isn't known is None instead of zero."""

import os
import platform
from pathlib import Path

import pytest

from tests.kit.values import there
from tradebot.adapters.state import resources


def test_memory_grows_by_what_is_allocated() -> None:
    before = resources.memory_bytes()
    held = bytearray(b"x" * 64_000_000)
    after = resources.memory_bytes()
    assert before
    assert after
    assert 50_000_000 < after - before < 100_000_000
    assert held


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what was freed")
def test_memory_that_was_freed_is_given_back_although_what_lies_behind_it_is_still_in_use() -> None:
    held = [bytearray(b"x") * 3_000 for _ in range(10_000)]
    del held[:-1]
    before = there(resources.memory_bytes())
    resources.give_back_memory()
    assert before - there(resources.memory_bytes()) > 20_000_000
    assert held


def test_an_open_file_counts_as_one_descriptor(tmp_path: Path) -> None:
    before = resources.open_descriptors()
    with (tmp_path / "file").open("w"):
        during = resources.open_descriptors()
    assert before is not None
    assert (during, resources.open_descriptors()) == (before + 1, before)


def test_started_ticks_differ_between_processes() -> None:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, str(resources.started_ticks()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    mine, its = resources.started_ticks(), int(os.read(read, 64))
    os.close(read)
    os.close(write)
    assert mine is not None
    assert mine <= its
    assert resources.started_ticks() == mine
    assert len(resources.boot_id()) == 36


def test_resources_are_none_when_the_system_does_not_report_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = resources.free_bytes(tmp_path)
    assert free
    assert free > 0
    assert resources.free_bytes(tmp_path / "none") is None
    monkeypatch.setattr(resources, "_read", lambda path: "")
    assert (resources.memory_bytes(), resources.started_ticks(), resources.boot_id()) == (None, None, "")
