"""The digest of code by its trees: how it is written and what its modules are called don't count, what decides does."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tradebot.adapters.plugins.code_tree import tree_digest

FILES: Mapping[str, str] = {
    "signals/__init__.py": "",
    "signals/measures.py": '"""Measure."""\n\ndef slope(a, b):\n    """Return it."""\n    return (b - a) / 2\n',
    "signals/weights.py": "def slope(a, b):\n    return (b - a) / 3\n",
    "signals/passed.py": "from tradebot.signals.measures import slope\n",
    "signals/noted.py": "from tradebot.signals.weights import slope\n",
    "strategies/lean.py": '"""Lean."""\n\nimport math\nfrom statistics import fmean\n\n'
    "from tradebot.model.bar import Quote\nfrom tradebot.signals import measures\n"
    "from tradebot.signals.passed import slope\n\n"
    'WORKER = "tradebot.signals.measures:slope"\n"""Who works."""\n\n\n'
    'class Lean:\n    """Lean on it."""\n\n    def wants(self, quote: Quote) -> "list[float]":\n'
    '        """Say so."""\n        up = slope(quote.bid, quote.ask) > 0.5  # twice\n'
    "        return [math.sqrt(measures.slope(1, 2)), fmean([1, 2])] if up else []\n",
}


def digest(root: Path, files: Mapping[str, str]) -> str:
    places = [root / "tradebot" / name for name in files]
    for place, text in zip(places, files.values(), strict=True):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return tree_digest(root / "tradebot", places)


def changed(name: str, old: str, new: str) -> dict[str, str]:
    assert old in FILES[name]
    return {**FILES, name: FILES[name].replace(old, new)}


def renamed(old: str, new: str) -> dict[str, str]:
    """Return the files with a module renamed, and whoever imports it changed with it."""
    was, now = (one.removesuffix(".py").replace("/", ".") for one in (old, new))
    imported, imports = (f"import {one.rpartition('.')[2]}\n" for one in (was, now))
    return {
        new if name == old else name: text.replace(was, now).replace(imported, imports) for name, text in FILES.items()
    }


LEAN = "strategies/lean.py"
WRITTEN_OTHERWISE = {
    "docstrings": changed(LEAN, '"""Say so."""', '"""Say what is wanted."""\n        """And more."""'),
    "no docstring": changed("signals/measures.py", '"""Measure."""\n', ""),
    "text beside a constant": changed(LEAN, '"""Who works."""', '"""The worker."""'),
    "comments and layout": changed(LEAN, "0.5  # twice", "(\n            0.5\n        )"),
    "order of imports": {**FILES, LEAN: "import math\n" + FILES[LEAN].replace("import math\n", "")},
    "alias": {**FILES, LEAN: FILES[LEAN].replace("fmean", "fmean as average", 1).replace("fmean([", "average([")},
    "import in the function": changed(LEAN, "        up =", "        from statistics import fmean\n\n        up ="),
    "module of the rest moved": changed(LEAN, "tradebot.model.bar", "tradebot.model.quotes"),
    "module renamed": {
        name: text.replace("measures.slope(1", "gauges.slope(1")
        for name, text in renamed("signals/measures.py", "signals/gauges.py").items()
    },
    "module moved to another folder": renamed(LEAN, "legacy/old.py"),
    "a new folder": {**FILES, "legacy/__init__.py": '"""Nothing."""\n'},
}  # fmt: skip
DECIDES_OTHERWISE = {
    "operator": changed("signals/measures.py", "b - a", "b + a"),
    "number": changed(LEAN, "> 0.5", "> 0.25"),
    "type of a number": changed(LEAN, "[1, 2]", "[1.0, 2]"),
    "comparison": changed(LEAN, "> 0.5", ">= 0.5"),
    "default": changed(LEAN, "quote: Quote", "quote: Quote = None"),
    "order of statements": changed("signals/measures.py", "    return", "    a, b = b, a\n    return"),
    "function from another module": changed(LEAN, "tradebot.signals.passed", "tradebot.signals.weights"),
    "what a module passes on": changed("signals/passed.py", "signals.measures", "signals.weights"),
    "module that passes on another": changed(LEAN, "tradebot.signals.passed", "tradebot.signals.noted"),
    "another module": changed(LEAN, "tradebot.signals import measures", "tradebot.signals import weights as measures"),
    "function of another library": changed(LEAN, "from statistics", "from numpy"),
    "another function of the same": changed(LEAN, "import fmean", "import median as fmean"),
    "a module gone": {name: text for name, text in FILES.items() if name != "signals/noted.py"},
    "worker": changed(LEAN, "measures:slope", "measures:steep"),
}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> str:
    return digest(tmp_path_factory.mktemp("code"), FILES)


@pytest.mark.parametrize("files", WRITTEN_OTHERWISE.values(), ids=WRITTEN_OTHERWISE)
def test_code_that_is_written_otherwise_has_the_same_digest(
    files: Mapping[str, str], before: str, tmp_path: Path
) -> None:
    assert files != FILES
    assert digest(tmp_path, files) == before


@pytest.mark.parametrize("files", DECIDES_OTHERWISE.values(), ids=DECIDES_OTHERWISE)
def test_code_that_decides_otherwise_has_another_digest(files: Mapping[str, str], before: str, tmp_path: Path) -> None:
    assert files != FILES
    assert digest(tmp_path, files) != before
