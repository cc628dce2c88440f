"""A model is data: listed file by file, named by its content, and read by nothing that could run code."""

import ast
from pathlib import Path

import pytest

import tradebot
from tests.kit.fakes.networks import constant
from tradebot.adapters.models.model_folder import FILES, LARGEST, NAME, id_of, listed_in, parts_of, sums_of

PARTS = constant([0.75], ("rsi_14", "body"))
SUMS = sums_of(PARTS.files())
RUNS_CODE = frozenset(
    {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "torch", "numpy.load"}
)
ROOT = Path(tradebot.__file__).parent
OF_MODELS = (
    *(ROOT / "adapters" / "models").glob("*.py"),
    *(ROOT / "learning").glob("*.py"),
    ROOT / "app" / "policy.py",
)


def loaders(tree: ast.AST) -> set[str]:
    """Return what a module imports or calls that could run code of what it reads."""
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in ("np.load", "numpy.load"):
            found.add("numpy.load")
    return found & RUNS_CODE


def test_nothing_that_reads_models_could_run_code_of_theirs() -> None:
    assert len(OF_MODELS) > 10
    assert {path.name: found for path in OF_MODELS if (found := loaders(ast.parse(path.read_text())))} == {}


@pytest.mark.parametrize("source", ["import pickle", "from torch import load", "import numpy as np\nnp.load('x')"])
def test_each_way_of_reading_code_is_seen(source: str) -> None:
    assert loaders(ast.parse(source))


def test_parts_are_read_as_they_are_written() -> None:
    assert parts_of(PARTS.files()) == PARTS
    assert set(listed_in(SUMS)) == set(PARTS.files()) == set(LARGEST) < FILES
    assert NAME.fullmatch(id_of(SUMS))
    assert id_of(sums_of(constant([0.5]).files())) != id_of(SUMS)


@pytest.mark.parametrize("changed", [b"", SUMS[1:], SUMS + b"x\n", SUMS.replace(b"card", b"bard"), SUMS.split(b"#")[1]])
def test_list_that_is_none_is_refused(changed: bytes) -> None:
    with pytest.raises(ValueError, match="lists files that aren't a model's"):
        listed_in(changed)
