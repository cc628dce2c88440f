"""Which file system a place lies on, and which kinds are another machine's."""

import os
from pathlib import Path

import pytest

from tests.kit.fakes.machine import mounted, table
from tradebot.adapters.state.resources import kind_of, network_kind, passing

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
        ("/dev/vda / ext4", {"DYNO": "web.1"}, "Heroku keeps no disk of its own"),
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
