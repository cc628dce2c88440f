"""Keys that models are signed with: made once, for their owner's eyes alone."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.adapters.models import signing
from tradebot.adapters.models.model_folder import RefusedModelError
from tradebot.adapters.models.signing import (
    make_key,
    name_of,
    public_key_text,
    read_key,
    require_extra,
    require_signed,
    sign_content,
)
from tradebot.adapters.state.state_folder import MARKER
from tradebot.adapters.text.extras import install
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.reasons import Reason

CONTENT = b"what is signed\n"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    file = tmp_path_factory.mktemp("keys") / "private"
    return file, make_key(file)


def test_private_key_is_readable_by_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_key(tmp_path / "private")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


def test_folder_of_a_key_is_made_for_its_owner_alone_and_one_that_can_not_be_is_named(tmp_path: Path) -> None:
    file = tmp_path / "my" / "keys" / "private"
    assert make_key(file) == public_key_text(read_key(file))
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (file.parent, file.parents[1])] == [0o700] * 2
    with pytest.raises(OperatorError, match="can't be created: File exists") as refused:
        make_key(file / "more" / "private")
    assert refused.value.hint == "name another file"


def test_key_is_read_as_it_was_made_and_never_replaced(pair: tuple[Path, str]) -> None:
    file, public = pair
    assert public_key_text(read_key(file)) == public
    assert len(bytes.fromhex(public)) == 32
    with pytest.raises(OperatorError, match="already"):
        make_key(file)
    assert public_key_text(read_key(file)) == public


def test_key_is_neither_made_nor_used_in_the_folder_of_a_bot(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text("{}")
    (tmp_path / "keys").mkdir()
    with pytest.raises(OperatorError, match="state folder"):
        make_key(tmp_path / "keys" / "private")
    assert [*(tmp_path / "keys").iterdir()] == []
    (tmp_path / MARKER).unlink()
    make_key(tmp_path / "keys" / "private")
    (tmp_path / MARKER).write_text("{}")
    with pytest.raises(OperatorError, match="a bot never needs the private key"):
        read_key(tmp_path / "keys" / "private")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_key_that_others_may_read_signs_nothing(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "private"
    make_key(file)
    file.chmod(mode)
    with pytest.raises(OperatorError, match="read by others") as refused:
        read_key(file)
    assert refused.value.hint == f"chmod 600 {file}"


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "private"
    make_key(file)
    (tmp_path / "link").symlink_to(file)
    (tmp_path / "text").write_text("no key")
    (tmp_path / "text").chmod(0o600)
    for name, problem in (("link", "a link"), ("text", "isn't a private key"), ("none", "can't be read")):
        with pytest.raises(OperatorError, match=problem):
            read_key(tmp_path / name)


def test_signature_of_the_owner_is_taken_and_any_other_is_refused_by_name(
    pair: tuple[Path, str], tmp_path: Path
) -> None:
    file, public = pair
    signature = sign_content(CONTENT, read_key(file)).encode()
    require_signed("it", CONTENT, signature, public)
    other = make_key(tmp_path / "other")
    theirs = sign_content(CONTENT, read_key(tmp_path / "other")).encode()
    pretending = theirs.replace(name_of(other).encode(), name_of(public).encode())
    wrong = [
        (CONTENT + b" ", signature, Reason.MODEL_CHANGED),
        (CONTENT, theirs, Reason.MODEL_WRONG_KEY),
        (CONTENT, pretending, Reason.MODEL_CHANGED),
        (CONTENT, b"", Reason.MODEL_UNSIGNED),
        (CONTENT, signature[:-1], Reason.MODEL_UNSIGNED),
        (CONTENT, b"rsa" + signature[7:], Reason.MODEL_UNSIGNED),
        (CONTENT, signature.upper(), Reason.MODEL_UNSIGNED),
    ]
    for content, given_one, reason in wrong:
        with pytest.raises(RefusedModelError) as refused:
            require_signed("it", content, given_one, public)
        assert refused.value.decision.reason is reason, given_one


@given(st.data())
def test_signature_changed_in_one_byte_is_refused(pair: tuple[Path, str], data: st.DataObject) -> None:
    file, public = pair
    signature = bytearray(sign_content(CONTENT, read_key(file)).encode())
    place = data.draw(st.integers(0, len(signature) - 1))
    signature[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RefusedModelError):
        require_signed("it", CONTENT, bytes(signature), public)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_extra("a policy")
    monkeypatch.setattr(signing, "NEEDED", ("cryptography", "no_such_package"))
    with pytest.raises(OperatorError, match="a policy needs the extra policy") as missing:
        require_extra("a policy")
    assert (missing.value.hint, missing.value.code) == (install("policy"), ExitCode.USAGE)
