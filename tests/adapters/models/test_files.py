"""A model is used if it is exactly what was signed; everything else is refused by name, with the next command."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.fakes.networks import Signed, constant, deep, probe, scaling
from tradebot.adapters.models import files
from tradebot.adapters.models.files import is_sealed, load_draft, read_model, write_draft
from tradebot.adapters.models.model_folder import (
    CARD,
    FILES,
    GRAPH,
    LARGEST,
    PROBE,
    SCALING,
    SIGNATURE,
    SUMS,
    ModelParts,
    RefusedDraftError,
    RefusedModelError,
    id_of,
    sums_of,
)
from tradebot.adapters.models.onnx_format import build_network, node
from tradebot.adapters.models.signing import make_key, read_key, sign_content
from tradebot.learning.model_card import FeatureUsed
from tradebot.model.reasons import POLICY_REASONS, REASONS, Reason
from tradebot.model.strategy_reasons import CHECK
from tradebot.model.struct_tools import replace

PARTS = constant([0.75], ("rsi_14", "body"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    signed = Signed(tmp_path_factory.mktemp("signed"))
    signed.write(PARTS)
    return signed


@pytest.fixture
def signed(whole: Signed, tmp_path: Path) -> Signed:
    """Return a copy of a signed model that a test may spoil."""
    copy = Signed.__new__(Signed)
    copy.folder, copy.key, copy.public = tmp_path / "models", whole.key, whole.public
    shutil.copytree(whole.folder, copy.folder)
    return copy


def only(signed: Signed) -> Path:
    (path,) = signed.folder.iterdir()
    return path


def why(signed: Signed, name: str | None = None) -> Reason | None:
    with pytest.raises(RefusedModelError) as refused:
        read_model(signed.folder, name or only(signed).name, signed.public)
    reason = refused.value.decision.reason
    assert reason is not None
    assert refused.value.hint == REASONS[reason].remedy
    return reason


def test_model_is_read_as_it_was_written(whole: Signed) -> None:
    model = read_model(whole.folder, only(whole).name, whole.public)
    assert (model.card, model.scaling, model.probe, model.graph) == PARTS


def sign_again(signed: Signed, **content: bytes) -> str:
    """Put other files into a model, sign them, and return its name: what somebody with the key could do."""
    path = only(signed)
    files = {name: (path / name).read_bytes() for name in (CARD, SCALING, PROBE, GRAPH)}
    files |= {name.replace("_", "."): each for name, each in content.items()}
    sums = sums_of(files)
    for name, each in {**files, SUMS: sums, SIGNATURE: sign_content(sums, read_key(signed.key)).encode()}.items():
        (path / name).write_bytes(each)
    return path.rename(path.with_name(id_of(sums))).name


def test_without_a_signature_it_is_unsigned(signed: Signed) -> None:
    (only(signed) / SIGNATURE).unlink()
    assert why(signed) is Reason.MODEL_UNSIGNED
    (only(signed) / SUMS).unlink()
    assert why(signed) is Reason.MODEL_UNSIGNED


def test_another_key_is_the_wrong_one(signed: Signed, tmp_path: Path) -> None:
    signed.public = make_key(tmp_path / "other")
    assert why(signed) is Reason.MODEL_WRONG_KEY


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_changed_byte_in_any_file_is_found(signed: Signed, data: st.DataObject) -> None:
    file = only(signed) / data.draw(st.sampled_from(sorted(FILES)))
    before = file.read_bytes()
    place = data.draw(st.integers(0, len(before) - 1))
    file.write_bytes(before[:place] + bytes([before[place] ^ data.draw(st.integers(1, 255))]) + before[place + 1 :])
    expected = {Reason.MODEL_CHANGED}
    if file.name == SIGNATURE:
        expected |= {Reason.MODEL_UNSIGNED, Reason.MODEL_WRONG_KEY}
    assert why(signed) in expected
    file.write_bytes(before)


@pytest.mark.parametrize("name", [CARD, SCALING, PROBE, GRAPH])
def test_file_that_was_cut_short_is_told_apart(signed: Signed, name: str) -> None:
    file = only(signed) / name
    file.write_bytes(file.read_bytes()[:-7])
    assert why(signed) is Reason.MODEL_TRUNCATED
    file.write_bytes(b"")
    assert why(signed) is Reason.MODEL_TRUNCATED


@pytest.mark.parametrize("name", [SUMS, SIGNATURE])
def test_list_or_signature_that_was_cut_short_is_refused(signed: Signed, name: str) -> None:
    file = only(signed) / name
    file.write_bytes(file.read_bytes()[:-7])
    assert why(signed) is (Reason.MODEL_CHANGED if name == SUMS else Reason.MODEL_UNSIGNED)


def test_missing_and_extra_files_are_refused(signed: Signed) -> None:
    extra = only(signed) / "weights.bin"
    extra.write_bytes(b"")
    assert why(signed) is Reason.MODEL_FILES_DIFFER
    extra.unlink()
    (only(signed) / PROBE).unlink()
    assert why(signed) is Reason.MODEL_FILES_DIFFER


def test_list_of_other_files_is_refused_even_if_it_is_signed(signed: Signed) -> None:
    path = only(signed)
    sums = (path / SUMS).read_bytes().replace(b"model.onnx", b"../x.onnx")
    (path / SUMS).write_bytes(sums)
    (path / SIGNATURE).write_text(sign_content(sums, read_key(signed.key)))
    assert why(signed, path.rename(path.with_name(id_of(sums))).name) is Reason.MODEL_FILES_DIFFER


def to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [to_pipe, to_folder])
@pytest.mark.parametrize("name", [GRAPH, SUMS])
def test_what_is_no_regular_file_is_not_opened(signed: Signed, spoil: Callable[[Path], None], name: str) -> None:
    spoil(only(signed) / name)
    assert why(signed) is Reason.MODEL_PATH_UNSAFE


def test_links_are_not_followed(signed: Signed, tmp_path: Path) -> None:
    path = only(signed)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert why(signed, path.name) is Reason.MODEL_PATH_UNSAFE
    path.unlink()
    (tmp_path / "elsewhere").rename(path)
    (path / GRAPH).rename(tmp_path / "model.onnx")
    (path / GRAPH).symlink_to(tmp_path / "model.onnx")
    assert why(signed) is Reason.MODEL_PATH_UNSAFE


@pytest.mark.parametrize("name", ["..", ".", "../models", "a" * 15, "A" * 16, "", "/etc", f"{'a' * 16}/"])
def test_name_that_leads_elsewhere_is_refused(signed: Signed, name: str) -> None:
    with pytest.raises(RefusedModelError) as refused:
        read_model(signed.folder, name, signed.public)
    assert refused.value.decision.reason is Reason.MODEL_PATH_UNSAFE


def test_model_that_is_not_there_is_absent(signed: Signed, tmp_path: Path) -> None:
    assert why(signed, "0" * 16) is Reason.MODEL_ABSENT
    signed.folder = tmp_path / "nowhere"
    assert why(signed, "0" * 16) is Reason.MODEL_ABSENT


def test_folder_under_another_name_is_refused(signed: Signed) -> None:
    path = only(signed)
    path.rename(path.with_name("0" * 16))
    assert why(signed) is Reason.MODEL_CHANGED


def test_file_that_is_too_large_is_refused_before_it_is_read(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST", {**LARGEST, GRAPH: 100})
    assert why(signed) is Reason.MODEL_TOO_LARGE


NOT_A_NUMBER = json.dumps({"means": [float("nan"), 0.0], "deviations": [1.0, 1.0]}).encode()
CARD_OF = ModelParts(replace(PARTS.card, features=(FeatureUsed("moon", 1),)), scaling(), probe(7), PARTS.graph)
OLD_OF = replace(PARTS.card, features=(replace(PARTS.card.features[0], version=99), PARTS.card.features[1]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"card_json": b"{}"}, Reason.MODEL_UNREADABLE),
        ({"card_json": b"[" * 100_000}, Reason.MODEL_UNREADABLE),
        ({"card_json": b"\xff"}, Reason.MODEL_UNREADABLE),
        ({"scaling_json": NOT_A_NUMBER}, Reason.MODEL_UNREADABLE),
        ({"probe_json": b'{"observations":[],"answers":[],"memories":[]}'}, Reason.MODEL_UNREADABLE),
        ({name.replace(".", "_"): each for name, each in CARD_OF.files().items()}, Reason.MODEL_FEATURES_DIFFER),
        ({"card_json": PARTS._replace(card=OLD_OF).files()[CARD]}, Reason.MODEL_FEATURES_DIFFER),
        ({"model_onnx": b"no network"}, Reason.MODEL_GRAPH_REFUSED),
        (
            {"model_onnx": build_network([node("X", ["observation"], "action", "com.example")], [], {}, {})},
            Reason.MODEL_GRAPH_REFUSED,
        ),
    ],
)
def test_signed_model_that_this_program_can_not_use_is_refused(
    signed: Signed, content: dict[str, bytes], reason: Reason
) -> None:
    assert why(signed, sign_again(signed, **content)) is reason


def test_draft_is_read_without_a_signature_and_needs_its_four_files(tmp_path: Path) -> None:
    for name, content in PARTS.files().items():
        (tmp_path / name).write_bytes(content)
    assert load_draft(tmp_path).card == PARTS.card
    (tmp_path / "README").write_text("hello")
    with pytest.raises(RefusedDraftError) as refused:
        load_draft(tmp_path)
    assert refused.value.reason is Reason.MODEL_FILES_DIFFER


@pytest.mark.parametrize("name", [CARD, SCALING, PROBE])
def test_draft_that_was_changed_since_its_run_sealed_it_is_not_signed(tmp_path: Path, name: str) -> None:
    draft = tmp_path / "draft"
    write_draft(draft, PARTS)
    assert (is_sealed(draft), load_draft(draft).card) == (True, PARTS.card)
    file = draft / name
    file.write_text(file.read_text().replace("0", "1", 1))
    with pytest.raises(RefusedDraftError, match=f"{name} isn't as listed by the run that made it"):
        load_draft(draft)


def test_draft_that_is_missing_or_damaged_is_told_as_a_draft(tmp_path: Path) -> None:
    draft = tmp_path / "draft"
    with pytest.raises(RefusedDraftError, match=f"there is no draft at {draft}: No such file") as refused:
        load_draft(draft)
    assert refused.value.hint == "tradebot learn policy train creates drafts"
    draft.mkdir()
    for name, content in PARTS.files().items():
        (draft / name).write_bytes(content)
    (draft / PROBE).write_text("{")
    with pytest.raises(RefusedDraftError, match=f"the draft {draft} can't be signed: ") as refused:
        load_draft(draft)
    (draft / PROBE).unlink()
    with pytest.raises(RefusedDraftError, match=rf"it lacks {PROBE}\.") as lacking:
        load_draft(draft)
    for told in (refused.value, lacking.value):
        assert told.hint == f"check that folder (ls -l {draft}), or train the model again: tradebot learn policy train"


def test_model_check_never_sends_a_person_to_itself() -> None:
    told = [row.remedy.removeprefix(CHECK) for reason, row in REASONS.items() if reason in POLICY_REASONS]
    assert [remedy for remedy in told if "model check" in remedy or not remedy] == []


def test_network_of_the_usual_size_is_far_below_the_largest() -> None:
    assert len(deep(256, 60)) * 40 < LARGEST[GRAPH]
