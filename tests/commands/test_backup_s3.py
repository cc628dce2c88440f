"""Backups in a bucket of S3: what stands there, what keeps a copy from being made, the way back, and no key told."""

from pathlib import Path

import pytest

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tests.kit.fakes.receivers import KEY, NAME, SECRET, Bucket
from tradebot.adapters.state.state_folder import BACKUPS
from tradebot.app.plugin_surroundings import without_keys

PLACE = f"s3://{NAME}/bots/one"


def here(copy: Bot) -> dict[str, bytes]:
    root = copy.folder / BACKUPS
    found = {f"bots/one/{path.relative_to(root)}": path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if content}


def test_copy_has_the_bytes_of_the_backup_and_comes_back_onto_an_empty_machine(
    copy: Bot, cloud: Bucket, tmp_path: Path
) -> None:
    for _ in range(2):
        assert copy.json("backup", "--to", PLACE)["copied_to"] == PLACE
    assert {name: content for name, (content, _) in cloud.objects.items()} == here(copy)
    back = Bot(tmp_path / "there", copy._capture)
    said = back.says("restore", "--from", PLACE, "--confirm", copy.tail(), "--json")
    assert (said.code, said.data["compared"]) == (10, False)
    assert back.json("orders") == copy.json("orders")


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIDOFSOMEBODY"}, 4, "refuses the keys: "),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, 4, "needs keys"),
        pytest.param(
            {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"},
            5,
            "doesn't answer: EndpointConnectionError",
            marks=pytest.mark.campaign,
        ),
        pytest.param({"AWS_ENDPOINT_URL_S3": "nonsense"}, 5, "doesn't answer: ValueError", marks=pytest.mark.campaign),
    ],
)
def test_bucket_that_cannot_be_reached_is_told_without_a_key(
    change: dict[str, str], code: int, told: str, copy: Bot, cloud: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in change.items():
        monkeypatch.setenv(name, text) if text else monkeypatch.delenv(name)
    said = copy.says("--debug", "backup", "--to", PLACE)
    assert (said.code, told in said.err, "\n  next: " in said.err) == (code, True, True), said.err
    assert [key for key in (KEY, SECRET, "AKIDOFSOMEBODY") if key in said.out + said.err] == []
    assert cloud.objects == {}


@pytest.mark.campaign
def test_bucket_that_is_missing_or_unnamed_is_told(copy: Bot, cloud: Bucket) -> None:
    refuses(copy.says("backup", "--to", "s3://another/bots"), 2, "there is no bucket another")
    assert "names no bucket" in copy.says("backup", "--to", "s3://").err


@pytest.mark.campaign
def test_copy_that_is_cut_off_is_no_backup_and_the_next_try_completes_it(copy: Bot, cloud: Bucket) -> None:
    cloud.cut_after = 1
    refuses(copy.says("backup", "--to", PLACE), 5, "was made, but not copied")
    assert len(cloud.objects) == 1
    assert "has no backup" in copy.says("restore", "--from", PLACE).err
    cloud.cut_after = None
    assert copy.says("backup", "--to", PLACE).code == 0
    assert copy.says("restore", "--from", PLACE, "--confirm", copy.tail()).code == 10


@pytest.mark.campaign
def test_full_bucket_and_lost_bytes_are_told(copy: Bot, cloud: Bucket) -> None:
    cloud.is_full = True
    assert "refused the request: InsufficientStorage" in copy.says("backup", "--to", PLACE).err
    cloud.is_full, cloud.loses_bytes = False, True
    refuses(copy.says("backup", "--to", PLACE), 5, "differs from what was sent: 10 of")


@pytest.mark.campaign
def test_another_object_of_the_same_name_is_left_as_it_is(copy: Bot, cloud: Bucket) -> None:
    copy.says("backup", "--to", PLACE)
    (part,) = (name for name in cloud.objects if name.endswith(".ledger.db"))
    cloud.objects[part] = b"of another bot", ""
    refuses(copy.says("backup", "--to", PLACE), 2, f"{PLACE} has a different parts/")
    assert cloud.objects[part] == (b"of another bot", "")


def test_plugin_sees_neither_the_keys_of_the_bucket_nor_a_channels_address() -> None:
    names = ("AWS_SECRET_ACCESS_KEY", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "NOTIFY_PHONE", "PATH")
    assert without_keys(dict.fromkeys(names, "x"), "alpaca") == {"PATH": "x"}
