"""Every reason that jobs of settlements leave behind is known to the pages, which tell it in German."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from django.utils import translation

from jobqueue.operating import retold_reason
from tests.messages import marked
from tests.servers import ROOT

WRITTEN_IN = ("letters.py", "truth.py", "processors/settlement.py", "processors/reminders.py")
REASON = re.compile(r"[a-z']+( [a-z',-]+)+")


def _reasons(path: str) -> Iterator[str]:
    """What is returned, or given to `Skipped`, and reads like a reason."""
    for node in ast.walk(ast.parse((ROOT / "settlements" / path).read_text())):
        is_skipped = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Skipped"
        for part in ast.walk(node) if is_skipped or isinstance(node, ast.Return) else ():
            text = part.value if isinstance(part, ast.Constant) else None
            if isinstance(text, str) and REASON.fullmatch(text):
                yield text


def test_every_reason_is_known() -> None:
    known = marked("settlements")
    found = {reason for path in WRITTEN_IN for reason in _reasons(path)}
    assert len(found) > 20
    assert sorted(found - set(map(str, known))) == []


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ("skipped: nothing is left to pay", "übersprungen: nichts ist mehr zu zahlen"),
        ("re-planned: the settlement is completed", "neu geplant: die Abrechnung ist abgeschlossen"),
        ("skipped: user 5 is inactive", "übersprungen: Benutzer 5 ist inaktiv"),
        ("cancelled by an operator", "vom Betrieb abgebrochen"),
        ("stopped by anna: open", "gestoppt von anna: open"),
        ("what an app said", "what an app said"),
    ],
)
def test_a_reason_is_told_in_german(kept: str, told: str) -> None:
    with translation.override("de"):
        assert retold_reason(kept) == told
    with translation.override("en"):
        assert retold_reason(kept) == kept
