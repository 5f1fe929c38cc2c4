"""docs/operations.md has a row for each system check, and for none that is not there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.servers import ROOT

APPS = ("jobqueue", "settlements", "spendsync_site")
_ROW = re.compile(r"^\|((?: `\w+\.[EW]\d{3}`,?)+) \|(.+)\|(.+)\|$", re.MULTILINE)
_ID = re.compile(r"(?:\w+\.)?[EW]\d{3}")
OF_OTHERS = {"anymail.W003", "security.W005", "security.W021"}
"""Checks of other apps, which the site's settings name."""


def _rows() -> dict[str, tuple[str, str]]:
    """What each row says is wrong, and what to do, by the id."""
    text = (ROOT / "docs" / "operations.md").read_text()
    return {
        name: (what.strip(), cure.strip())
        for ids, what, cure in _ROW.findall(text)
        for name in re.findall(r"`([^`]+)`", ids)
    }


def _ids_in(path: Path, app: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _ID.fullmatch(node.value):
            yield node.value if "." in node.value else f"{app}.{node.value}"


def _ids_in_the_code() -> set[str]:
    found = {
        name
        for app in APPS
        for path in (ROOT / app).rglob("*.py")
        if "core.checks" in (text := path.read_text()) or "SILENCED" in text
        for name in _ids_in(path, app)
    }
    return found - OF_OTHERS


def test_the_document_has_a_row_for_each_check_and_for_no_other() -> None:
    assert set(_rows()) == _ids_in_the_code()


def test_each_row_says_what_is_wrong_and_what_to_do() -> None:
    assert [name for name, (what, cure) in _rows().items() if len(what) < 10 or len(cure) < 8] == []
