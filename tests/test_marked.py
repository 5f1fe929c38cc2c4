"""Tests that run by a mark stand where `make` looks for that mark, and reads no other test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import ROOT

PLACES = {
    "browser": "tests/browser",
    "package": "tests/integration/test_other_project.py",
    "soak": "tests/soak",
}


def _marked(mark: str) -> list[Path]:
    """The files that name a mark."""
    name = f"pytest.mark.{mark}"
    return [path for path in ROOT.glob("tests/**/*.py") if name in path.read_text()]


@pytest.mark.parametrize("mark", PLACES)
def test_whoever_has_the_mark_stands_there(mark: str) -> None:
    marked = _marked(mark)
    assert marked != []
    assert {str(path) for path in marked if not path.is_relative_to(ROOT / PLACES[mark])} == set()


@pytest.mark.parametrize("mark", PLACES)
def test_make_looks_there(mark: str) -> None:
    [line] = [line for line in (ROOT / "Makefile").read_text().splitlines() if f"pytest -m {mark}" in line]
    assert line.rstrip(")").endswith(PLACES[mark])
