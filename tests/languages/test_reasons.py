"""Every reason that jobs of settlements leave behind is known to the pages, which tell it in German."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import product

import pytest
from django.utils import translation

from jobqueue.models import Job
from jobqueue.operating import retold_reason, told_reason
from settlements.decisions import REPLANNED
from settlements.models import Payment
from settlements.processors.email import PERHAPS_BEFORE
from settlements.truth import QUIET_HOURS
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


# Those that name something, and those of jobs that wait ------------------------------------------------

_SETTLEMENT = ["pending", "partially paid", "completed", "cancelled"]
_PAYMENT = [status.replace("_", " ") for status in Payment.Status.values]
PLACES = {
    "written_status(settlement)": _SETTLEMENT,
    "written_status(payment)": _PAYMENT,
    "settlement.status": ["completed", "cancelled"],
    "word": ["completed", "failed", "refunded"],
    "person.pk": ["5"],
    "question.user_id": ["5"],
    "' or the '.join(roles)": ["payer", "payee", "payer or the payee"],
    "settlement.due_date.isoformat()": ["2026-12-24T00:00:00+00:00"],
    "reason": ["settlement is history", "user 5 is inactive"],
    "PERHAPS_BEFORE": [PERHAPS_BEFORE],
    "REPLANNED": [REPLANNED],
    "trouble": ["the payment is unsettled"],
    "error": ["HTTP 503"],
}
"""What can stand in the places of a reason; one with another place has to be told here, too."""
NAMING = (*WRITTEN_IN, "processors/email.py", "deliveries.py", "planning.py")
WORDS = re.compile(r"[a-z]{3,}")


def _naming(path: str) -> Iterator[str]:
    """Every reason with places that is returned there, given to `Skipped` or said of who waits, filled in."""
    for node in ast.walk(ast.parse((ROOT / "settlements" / path).read_text())):
        is_call = isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Skipped", "RetryLater")
        for part in ast.walk(node) if is_call or isinstance(node, ast.Return) else ():
            if isinstance(part, ast.JoinedStr) and any(" " in text for text in _between(part)):
                yield from _filled(part)


def _between(text: ast.JoinedStr) -> list[str]:
    return [str(part.value) for part in text.values if isinstance(part, ast.Constant)]


def _filled(text: ast.JoinedStr) -> Iterator[str]:
    return map("".join, product(*map(_values, text.values)))


def _values(part: ast.expr) -> list[str]:
    return (
        PLACES[ast.unparse(part.value)] if isinstance(part, ast.FormattedValue) else [ast.literal_eval(part)]
    )


def _left(text: str, told: str) -> set[str]:
    """The words of the English reason that stand in what is told."""
    return set(WORDS.findall(text)) & set(WORDS.findall(told))


def _kept(reason: str) -> str:
    """As it stands in the job's row; the plan's own has its word already."""
    return reason if reason.startswith(REPLANNED) else f"skipped: {reason}"


def test_every_reason_that_names_something_is_told_in_german() -> None:
    reasons = {reason for path in NAMING for reason in _naming(path)}
    assert len(reasons) > 30
    with translation.override("de"):
        left = {reason: _left(reason, retold_reason(_kept(reason))) for reason in reasons}
    assert {reason: words for reason, words in left.items() if words} == {}


def _waited_for(path: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / "settlements" / path).read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RetryLater":
            reason = node.args[1]
            if isinstance(reason, ast.Constant):
                yield str(reason.value)
            else:
                yield from {"QUIET_HOURS": [QUIET_HOURS], **PLACES}[ast.unparse(reason)]


def test_what_a_job_waits_for_is_told_in_german() -> None:
    waited_for = {reason for path in NAMING for reason in _waited_for(path)}
    assert len(waited_for) == 4
    with translation.override("de"):
        left = {
            reason: _left(reason, told_reason(Job(state="waiting", reason=reason))) for reason in waited_for
        }
    assert {reason: words for reason, words in left.items() if words} == {}


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ("skipped: nothing is left to pay", "übersprungen: nichts ist mehr zu zahlen"),
        ("re-planned: the settlement is completed", "neu geplant: die Abrechnung ist abgeschlossen"),
        ("skipped: user 5 is inactive", "übersprungen: Benutzer 5 ist inaktiv"),
        (
            "skipped: payment is refunded, not completed",
            "übersprungen: Zahlung ist erstattet, nicht abgeschlossen",
        ),
        (
            "skipped: user 5 is not the payer or the payee of the settlement",
            "übersprungen: Benutzer 5 ist nicht Zahler oder Zahlungsempfänger der Abrechnung",
        ),
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
