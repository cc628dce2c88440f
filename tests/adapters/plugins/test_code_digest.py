"""The digest of a strategy's code: it changes with whatever the strategy loads, and with nothing else."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tests.adapters.plugins.test_plugin import install
from tradebot.adapters.plugins import code_digest, code_tree
from tradebot.adapters.plugins.code_digest import StrategyCode, built_in_code, code_of
from tradebot.adapters.plugins.plugin import installed_strategies
from tradebot.adapters.plugins.protocol import GROUP

POINT = EntryPoint("lean", "lean_code.strategy:Lean", GROUP)
SOURCE = "import json\nimport numpy\nfrom lean_helper import sign\nfrom .model import weight\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a plug-in's package and a module beside it, both found by Python."""
    (tmp_path / "lean_code" / "data").mkdir(parents=True)
    files = {
        "lean_code/__init__.py": "",
        "lean_code/strategy.py": SOURCE,
        "lean_code/model.py": "weight = 1\n",
        "lean_code/data/table.csv": "a,b\n",
        "lean_helper.py": "sign = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["lean_code/strategy.py", "lean_code/model.py", "lean_code/data/table.csv", "lean_helper.py"]
)
def test_digest_changes_with_each_file_that_the_plug_in_loads(place: Path, name: str) -> None:
    before = code_of(POINT)
    with (place / name).open("a") as file:
        file.write("# retrained\n")
    after = code_of(POINT)
    assert before.digest != after.digest
    assert [one for one in after.files if after.files[one] != before.files[one]] == [name]


def test_digest_changes_if_the_entry_point_names_another_class_of_the_same_files(place: Path) -> None:
    before, after = code_of(POINT), code_of(EntryPoint("lean", "lean_code.strategy:Opposite", GROUP))
    assert before.files == after.files
    assert before.digest != after.digest
    stored = {"files": before.files, "versions": before.versions}
    assert StrategyCode.stored(stored | {"entry_point": before.entry_point}).digest == before.digest
    assert StrategyCode.stored(stored).digest != before.digest


def test_digest_stays_when_nothing_that_it_loads_changes(place: Path, tmp_path: Path) -> None:
    before = code_of(POINT)
    (place / "lean_code" / "__pycache__").mkdir()
    (place / "lean_code" / "bot").mkdir()
    for name in ("__pycache__/strategy.cpython-311.pyc", "bot/state.id", "bot/ledger.db"):
        (place / "lean_code" / name).write_text("new")
    (place / "not_imported.py").write_text("sign = -1\n")
    assert code_of(POINT).digest == before.digest


@pytest.mark.parametrize("name", ["core/side.py", ".params", "side.pyc", "bot/strategy.py", "caf\udce9.txt"])
def test_whatever_python_or_the_plug_in_could_read_from_its_package_counts(place: Path, name: str) -> None:
    package = place / "lean_code"
    (place / "versions").mkdir()
    (package / "core").symlink_to(place / "versions")
    (place / "versions" / "again").symlink_to(package)
    (package / "bot").mkdir()
    (package / "bot" / "state.id").write_text("the mark of a bot's folder, which has no modules")
    digests = {code_of(POINT).digest}
    for text in ("buy", "sell"):
        (package / name).write_text(text)
        digests.add(code_of(POINT).digest)
    assert len(digests) == 3


def test_installed_packages_count_by_their_versions_and_those_that_they_require(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = place / "site-packages"
    (site / "lean_models").mkdir(parents=True)
    (site / "lean_models" / "__init__.py").write_text("depth = 1\n")
    install(site, "lean_models", "")
    install(site, "lean_base", "")
    (site / "lean_models-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: lean-models\nVersion: 1.0\nRequires-Dist: lean-base>=1\nRequires-Dist: gone\n"
    )
    monkeypatch.syspath_prepend(site)
    (place / "lean_code" / "model.py").write_text("import lean_models.deep\n")
    found = code_of(POINT)
    assert {name: found.versions[name] for name in ("lean-models", "lean_base")} == {
        "lean-models": "1.0",
        "lean_base": "1.0",
    }
    assert "numpy" in found.versions
    assert not any(name.startswith("lean_models") for name in found.files)
    metadata = site / "lean_base-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 1.1"))
    assert code_of(POINT).digest != found.digest
    # An installation that was interrupted: the code counts as unreadable, so that nothing else ends.
    for left in ("", None):
        metadata.unlink() if left is None else metadata.write_text(left)
        with pytest.raises(OSError, match="no readable metadata"):
            code_of(POINT)


def test_declared_files_count_by_content_and_order_but_not_by_place(place: Path) -> None:
    (place / "elsewhere").mkdir()
    for name, text in (("model.bin", "one"), ("elsewhere/model.bin", "one"), ("table.csv", "two")):
        (place / name).write_text(text)
    model, moved, table = place / "model.bin", place / "elsewhere" / "model.bin", place / "table.csv"
    found = code_of(POINT, (model, table)).digest
    assert code_of(POINT, (moved, table)).digest == found
    assert len({found, code_of(POINT, (table, model)).digest, code_of(POINT, (model,)).digest}) == 3
    moved.write_text("retrained")
    assert code_of(POINT, (moved, table)).digest != found
    with pytest.raises(FileNotFoundError):
        code_of(POINT, (place / "gone.bin",))


def test_code_of_a_module_that_is_not_installed_is_empty() -> None:
    assert code_of(EntryPoint("gone", "no_such_module_here:It", GROUP)).files == {}


def test_built_in_strategies_share_one_code() -> None:
    assert [*built_in_code().files] == [code_digest.BUILT_IN]
    assert all(code_digest.OURS & set(installed_strategies()[name].module.split(".")) for name in ("flow", "rotation"))


def test_trees_are_read_once_for_as_long_as_no_byte_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, remembered = tmp_path / "lean.py", tmp_path / "remembered.pyc"
    module.write_text("up = 1\n")
    monkeypatch.setattr(code_digest, "cache_from_source", lambda path: str(remembered))
    monkeypatch.setattr(code_tree, "__file__", str(module))

    def read() -> str:
        return code_digest._remembered_tree(tmp_path, [module])

    first = read()
    with monkeypatch.context() as patch:
        patch.setattr(code_tree, "tree_digest", None)
        assert read() == first
    module.write_text("up = 2\n")
    assert read() != first
    for content in (b"", b"one two three", b"\xff"):
        remembered.with_suffix(".digest").write_bytes(content)
        assert read() != first
    remembered = tmp_path / "no" / "folder.pyc"
    assert read() != first, "what can't be remembered is read each time"


@pytest.mark.parametrize("text", ["def f(:\n", "x = " + "-" * 300_000 + "1\n"])
def test_file_that_cannot_be_parsed_counts_by_its_content_alone(place: Path, text: str) -> None:
    before = code_of(POINT).digest
    (place / "lean_code" / "table.py").write_text(text)
    assert code_of(POINT).digest != before
