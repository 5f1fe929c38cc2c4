"""The Pythons that `make matrix` finds."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.interpreters import find_interpreters

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
ITSELF = Path(sys._base_executable)  # type: ignore[attr-defined]


def _program(folder: Path, text: str, version: str = HERE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / f"python{version}"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return folder


def test_a_python_on_the_path_is_found_behind_its_stand_in(tmp_path: Path) -> None:
    folder = _program(tmp_path / "shims", f'exec "{sys.executable}" "$@"')

    assert find_interpreters([HERE], {"PATH": str(folder)}) == {HERE: ITSELF}


def test_a_stand_in_that_is_not_switched_on_is_passed_over_for_pyenvs_own(tmp_path: Path) -> None:
    shims = _program(tmp_path / "shims", "echo 'command not found' >&2; exit 127")
    _program(tmp_path / "versions" / "any" / "bin", f'exec "{sys.executable}" "$@"')

    assert find_interpreters([HERE], {"PATH": str(shims), "PYENV_ROOT": str(tmp_path)}) == {HERE: ITSELF}


def test_pyenv_is_looked_for_at_home(tmp_path: Path) -> None:
    _program(tmp_path / ".pyenv" / "versions" / "any" / "bin", f'exec "{sys.executable}" "$@"')

    assert find_interpreters([HERE], {"HOME": str(tmp_path)}) == {HERE: ITSELF}


def test_what_is_another_version_or_not_there_is_not_found(tmp_path: Path) -> None:
    folder = _program(tmp_path, f'exec "{sys.executable}" "$@"', version="3.99")

    assert find_interpreters(["3.98", "3.99"], {"PATH": str(folder), "HOME": str(tmp_path)}) == {}
