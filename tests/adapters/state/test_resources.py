"""What a process has in use is what the system says, and what isn't known is None instead of zero.

Which file system a place lies on, and which kinds are another machine's.
"""

import os
import platform
from pathlib import Path

import pytest

from tests.kit.fakes.machine import mounted, table
from tests.kit.values import there
from tradebot.adapters.state import resources
from tradebot.adapters.state.resources import kind_of, network_kind, passing


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


NETWORK = (
    *("nfs", "nfs3", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "davfs"),
    *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph-fuse", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.juicefs"),
)
OWN = (
    *("ext4", "xfs", "btrfs", "zfs", "apfs", "overlay", "tmpfs", "fuse", "fuseblk", "fuse.fuse-overlayfs", "fuse.ntfs"),
    *("ecryptfs", "vfat", "f2fs", "fuse.gocryptfs", "nfsd", "fuse.portal", "configfs", "virtiofs", "autofs", "tracefs"),
)


@pytest.mark.parametrize("kind", NETWORK)
def test_network_kind_knows_network_file_systems(kind: str, tmp_path: Path) -> None:
    with mounted(tmp_path, kind):
        assert network_kind(tmp_path / "state") == kind


@pytest.mark.parametrize("kind", OWN)
def test_network_kind_is_none_for_a_local_disk(kind: str, tmp_path: Path) -> None:
    with mounted(tmp_path, kind):
        assert (network_kind(tmp_path / "state"), kind_of(tmp_path / "state")) == (None, kind)


def test_kind_of_takes_the_nearest_and_latest_mount() -> None:
    mounts = b"/dev/vda / ext4 rw 0 0\nh:/x /mnt/a nfs4 rw 0 0\n/dev/vdb /mnt/a/b xfs rw 0 0\nx /mnt/a cifs rw 0 0\n"
    with table(mounts):
        places = ("/mnt/a/c", "/mnt/a/b/c", "/mnt/ab", "/mnt", "/mnt/a", "/mnt/a/b/../c")
        assert [kind_of(Path(place)) for place in places] == ["cifs", "xfs", "ext4", "ext4", "cifs", "cifs"]


def test_network_kind_follows_links(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    with mounted(tmp_path / "far", "nfs4"):
        assert network_kind(tmp_path / "near" / "state") == "nfs4"


@pytest.mark.parametrize("name", ["a b", "a\tb", "a\\b", "a\\040b", "ä", os.fsdecode(b"a\xff")])
def test_kind_of_reads_escaped_mount_names(name: str, tmp_path: Path) -> None:
    place = tmp_path / name
    written = os.fsencode(place).replace(b"\\", b"\\134").replace(b" ", b"\\040").replace(b"\t", b"\\011")
    with table(b"/dev/vda / ext4 rw 0 0\nh:/x " + written + b" nfs rw 0 0\n"):
        assert (kind_of(place), kind_of(tmp_path / "other")) == ("nfs", "ext4")


def test_kind_of_is_none_without_a_mount_table() -> None:
    with table(None):
        assert (kind_of(Path("/")), network_kind(Path("/"))) == (None, None)


@pytest.mark.skipif(not Path("/proc/self/mounts").exists(), reason="needs /proc/self/mounts")
def test_kind_of_reads_the_kernels_mount_table() -> None:
    assert kind_of(Path("/proc/self")) == "proc"


@pytest.mark.parametrize(
    ("mounts", "environ", "why"),
    [
        ("/dev/vda / ext4", {}, None),
        ("/dev/vda / ext4", {"DYNO": "web.1"}, "Heroku has no permanent disk"),
        ("/dev/vda / ext4\n/dev/vdb PLACE xfs", {"DYNO": "web.1", "K_SERVICE": "x"}, None),
        ("overlay / overlay", {}, "it is on overlay"),
        ("overlay / overlay\n/dev/vdb PLACE ext4", {}, None),
        ("/dev/vda / ext4\ntmpfs PLACE tmpfs", {}, "it is on tmpfs"),
        ("/dev/vda / ext4", {"K_SERVICE": ""}, None),
    ],
)
def test_disk_that_ends_with_the_machine_or_the_container_is_known(
    mounts: str, environ: dict[str, str], why: str | None, tmp_path: Path
) -> None:
    lines = (f"{line} rw 0 0\n" for line in mounts.replace("PLACE", str(tmp_path)).split("\n"))
    with table("".join(lines).encode()):
        found = passing(tmp_path / "state", environ)
    assert (found or "").startswith(why or "")
    assert bool(found) == bool(why)
