"""Which Pythons there are on this machine, wherever they came from."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path


def find_interpreters(
    versions: Iterable[str], environment: Mapping[str, str] = os.environ
) -> dict[str, Path]:
    """For each version such as "3.12" the first program that is one: on the PATH, then pyenv's.

    It is the program itself and not a stand-in or a virtual environment. What is on the PATH and does not
    answer with its version, as pyenv's stand-ins for what is not switched on, is passed over.
    """
    folders = _folders(environment)
    found = {version: _first(version, folders) for version in versions}
    return {version: program for version, program in found.items() if program is not None}


def _folders(environment: Mapping[str, str]) -> list[Path]:
    path = [Path(folder) for folder in environment.get("PATH", "").split(os.pathsep) if folder]
    pyenv = Path(environment.get("PYENV_ROOT") or Path(environment.get("HOME", "/")) / ".pyenv")
    return [*path, *sorted(pyenv.glob("versions/*/bin"), reverse=True)]


def _first(version: str, folders: list[Path]) -> Path | None:
    programs = (folder / f"python{version}" for folder in folders)
    answers = (_answer(program, version) for program in programs if program.is_file())
    return next((program for program in answers if program is not None), None)


def _answer(program: Path, version: str) -> Path | None:
    question = "import sys, venv; print('%d.%d' % sys.version_info[:2], sys._base_executable)"
    try:
        asked = subprocess.run([program, "-c", question], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    said, _, itself = asked.stdout.strip().partition(" ")
    return Path(itself) if said == version else None
