"""Packages of strategies that are installed in a folder without pip, one way to propose each."""

from collections.abc import Mapping
from pathlib import Path

WELL = "return list(self.well(view))"
MODULE = """
from tradebot.model.values import replace
from tradebot.ports import BarNeed, Needs, Open, Side

class Base:
    needs = Needs(facts=frozenset({"flow_alerts"}))
    times = ""

    def __init__(self, settings):
        assert not settings, settings

    def well(self, view):
        for symbol in view.universe:
            yield Open(symbol, Side.BUY, 0.9, 1.0)
"""


def install(folder: Path, bodies: Mapping[str, str], package: str, needs: Mapping[str, str] | None = None) -> None:
    """Install a package of strategies into a folder, each with its own way to propose; `needs` are bars by name."""
    text, points = [MODULE], []
    for name, body in bodies.items():
        lines = "\n".join(f"        {line}" for line in body.splitlines())
        bars = f"    needs = Needs(bars=({needs[name]},))\n" if needs else ""
        text.append(f"class {name.title()}(Base):\n    name = {name!r}\n{bars}    def propose(self, view):\n{lines}\n")
        points.append(f"{name} = {package}:{name.title()}")
    (folder / f"{package}.py").write_text("\n".join(text))
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[tradebot.strategies]", *points]))
