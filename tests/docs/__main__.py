"""Write what is committed of pages that are made of the code, or of the tests: python -m tests.docs

With `demo`, play the demo too and write its screen into README.md.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs import demo, verb_list
from tests.docs.page_list import COMMITTED
from tradebot.app import sandbox


def played() -> str:
    """Return README with the screen of a demo that is played now."""
    with tempfile.TemporaryDirectory() as folder:
        screen = demo.play(Path(folder))
        sandbox.stop(Path(folder) / "state" / "exchange")
    return demo.page(screen)


listed = verb_list.page()
if verb_list.PAGE.read_text(encoding="utf-8") != listed:
    verb_list.PAGE.write_text(listed, encoding="utf-8")
    print(f"wrote {verb_list.PAGE.name}")
    # What is imported has read the list as it was.
    sys.exit(subprocess.run([sys.executable, "-m", "tests.docs", *sys.argv[1:]], check=False).returncode)
pages: list[tuple[Path, Callable[[], str]]] = [*COMMITTED]
if "demo" in sys.argv[1:]:
    pages.append((demo.PAGE, played))
for path, made in pages:
    try:
        text = made()
    except pytest.skip.Exception as missing:
        # Alpaca's own files are not in the repository.
        print(f"left {path.name} as it is: {missing}")
        continue
    if path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.name}")
