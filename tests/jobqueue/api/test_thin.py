"""The API is thin: what it does to rows it does by verbs, and it writes none itself but its kept answers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_database

ROOT = Path(__file__).parents[3]
FILES = [*ROOT.glob("jobqueue/api/*.py"), *ROOT.glob("settlements/api/*.py")]
WRITES = {
    *("save", "create", "bulk_create", "get_or_create", "update_or_create"),
    *("update", "bulk_update", "delete"),
}
KEEPS_ANSWERS = "jobqueue/api/once.py"


def _written(file: Path) -> set[str]:
    calls = [one for one in ast.walk(ast.parse(file.read_text())) if isinstance(one, ast.Call)]
    return {one.func.attr for one in calls if isinstance(one.func, ast.Attribute)} & WRITES


def test_the_api_writes_no_row_itself() -> None:
    found = {str(file.relative_to(ROOT)): names for file in FILES if (names := _written(file))}

    assert found == {KEEPS_ANSWERS: {"save"}}
