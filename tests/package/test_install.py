"""The installer behind `make demo` and `make test`: what it says when the machine lacks something."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def install(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Run the installer in an empty folder, with one pin, and no index to ask for it."""
    (folder / "one.lock").write_text(f"absent==1 --hash=sha256:{'0' * 64}\n")
    unreachable = {"PYTHON": python, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    command = [str(ROOT / "deploy" / "install"), "environment", "one.lock"]
    return subprocess.run(
        command, cwd=folder, env=kept | unreachable, capture_output=True, text=True, timeout=120, check=False
    )


def interpreter(folder: Path, *, lacks: str) -> str:
    """Write an interpreter that is the real one, except that a program which names `lacks` fails."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\ncase "$*" in *{lacks}*) exit 1 ;; esac\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_a_missing_interpreter_is_named_with_what_to_type(tmp_path: Path) -> None:
    done = install(tmp_path, "python-that-is-not-there")
    assert done.returncode == 2
    assert "'python-that-is-not-there' was not found" in done.stderr
    assert "make PYTHON=" in done.stderr


def test_an_old_interpreter_is_named_with_its_version(tmp_path: Path) -> None:
    done = install(tmp_path, interpreter(tmp_path, lacks="version_info"))
    assert done.returncode == 2
    assert "needs Python 3.11 or newer" in done.stderr
    assert sys.version.split()[0] in done.stderr


def test_an_interpreter_without_pip_points_to_the_missing_package(tmp_path: Path) -> None:
    done = install(tmp_path, interpreter(tmp_path, lacks="ensurepip"))
    assert done.returncode == 2
    assert "python3-venv" in done.stderr
    assert not (tmp_path / "environment").exists()


def test_an_install_that_fails_leaves_no_stamp(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    # The environment of the tests stands in for one that an earlier run made, which saves making one.
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    stamps = [environment / name for name in (".core", ".dev")]
    for stamp in stamps:
        stamp.touch()
    done = install(tmp_path, sys.executable)
    assert done.returncode != 0
    assert "No matching distribution found for absent==1" in done.stderr
    assert not any(stamp.exists() for stamp in stamps)
