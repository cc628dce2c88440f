"""A bot with four strategies: the built-in one and the three of `packages`, each with its own allotment and rules."""

import sys
from pathlib import Path
from textwrap import indent

HERE = Path(__file__).parent
PLUGINS = {"momentum": "MomentumStrategy", "reversion": "ReversionStrategy", "sweeps": "SweepsStrategy"}
STRATEGIES = ("flow", *PLUGINS)

CONFIGURATION = """\
limits:
  max_open_positions: 40
  max_new_entries: 20
  max_orders_per_second: 20
  max_order_fraction: 0.3
  max_order_notional_usd: 20000
  max_symbol_fraction: 0.5
  max_sector_fraction: 1
  max_gross_fraction: 1
  max_daily_loss_fraction: 0.06
halts:
  daily_loss_fraction: 0.12
  drawdown_fraction: 0.2
strategies:
  flow:
    allotment_fraction: 0.4
    min_cluster: 1
    lookback_s: 7200
    limits: {min_score: 0.1, min_coverage: 0.1}
  momentum:
    allotment_fraction: 0.25
    limits: {max_order_fraction: 0.5, max_symbol_fraction: 1, max_sector_fraction: 1, max_gross_fraction: 1}
    exits: []
  reversion:
    allotment_fraction: 0.2
    window: 12
    limits: {max_order_fraction: 0.2, max_symbol_fraction: 0.2, min_score: 0.1}
    exits: [{time_exit: {after_s: 3600}}]
  sweeps:
    allotment_fraction: 0.15
    min_premium_usd: 50000
    limits: {max_order_fraction: 0.2, max_symbol_fraction: 0.2, min_score: 0.1}
"""


def install(folder: Path) -> None:
    """Write what pip would: each strategy's module, and the entry point that names it."""
    for name, kind in PLUGINS.items():
        (folder / f"tradebot_{name}.py").write_text((HERE / "packages.py").read_text())
        info = folder / f"tradebot_{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tradebot-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[tradebot.strategies]\n{name} = tradebot_{name}:{kind}\n")


def main() -> int:
    """Install the strategies into the folder that is named, with a configuration, and say how to play a session."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    install(folder)
    (folder / "four.yaml").write_text(CONFIGURATION)
    commands = f"export PYTHONPATH={folder} TRADEBOT_CONFIG={folder}/four.yaml\ntradebot demo --start 2026-12-01"
    print(f"Installed {', '.join(PLUGINS)}. To play a session of all four:\n{indent(commands, '  ')}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
