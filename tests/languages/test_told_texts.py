"""What the audit keeps in English is told in German: no English is left of it inside a German page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import translation

from jobqueue.models import AuditEntry
from jobqueue.operating.retelling import kind_of_several, retold, retold_beside, retold_verb
from jobqueue.operating.retelling_names import retold_name
from jobqueue.sql.clock import database_now
from settlements.models import Payment, Settlement
from tests.browser import scene
from tests.jobqueue.admin import world
from tests.jobqueue.admin.sent_forms import forms_on
from tests.jobqueue.admin.test_calendar import change, day_url
from tests.jobqueue.api.steps import ask, read
from tests.languages.data import words_left
from tests.languages.pseudo import CLOSE, OPEN
from tests.languages.test_every_text import WITH_ACTIONS
from tests.languages.test_kept_texts import undone
from tests.spendsync_site import api_rows

pytestmark = [pytest.mark.django_db(databases=["default", "other"]), pytest.mark.one_database]
GERMAN = {"HTTP_ACCEPT_LANGUAGE": "de"}
AUDIT = "/admin/jobqueue/auditentry/"
REASON = "because of that"
NAMES = {
    *("email", "email.notification", "payer", "payee", "worker-1", "worker 1", "web-1", "ZWL", "Dinner"),
    *("ValueError", "OSError", "nobody knows its processor", "search=state:failed", "no money", "to"),
    *("reminders", "settlement"),
}
"""What people and the code named; and a German word that is English too."""
MARKED = re.compile(f"{OPEN}[^{OPEN}{CLOSE}]*{CLOSE}")


@contextmanager
def _known_words_marked() -> Iterator[None]:
    """German, in which stands between marks what the catalogues know: what is not known stays as it was."""
    real: Any = translation._trans  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch, translation.override("de"):
        plain, plain_of_several = real.gettext, real.ngettext

        def marked(text: str) -> str:
            told = str(plain(text))
            return f"{OPEN}{told}{CLOSE}" if told != text else told

        def marked_of_several(one: str, more: str, number: int) -> str:
            told = str(plain_of_several(one, more, number))
            return f"{OPEN}{told}{CLOSE}" if told not in (one, more) else told

        patch.setattr(real, "gettext", marked)
        patch.setattr(real, "ngettext", marked_of_several)
        yield


class Audit:
    """Reads all that stands in the audit, and says what of it no catalogue knows."""

    def __init__(self) -> None:
        self.left: set[str] = set()
        self.read = 0

    def note(self, data: set[str]) -> None:
        """Read the entries that are there now, as their rows say them in German."""
        with _known_words_marked():
            for entry in AuditEntry.objects.all():
                self.read += 1
                text = retold_beside(entry.verb, entry.text, kind_of_several(entry))
                name = retold_name(entry.object_type, entry.object_name)
                for said in (retold_verb(entry.verb), text, name):
                    self._look(said, data | {entry.object_name.rpartition(" #")[0] or "-"})

    def _look(self, said: str, data: set[str]) -> None:
        while MARKED.search(said):
            said = MARKED.sub(" ", said)
        if left := words_left(said, data):
            self.left.add(left)


@pytest.fixture
def audit() -> Audit:
    """What is read of it in a test."""
    return Audit()


def test_what_the_api_writes(
    admin_client: Client,
    audit: Audit,
    make_settlement: Callable[..., Settlement],
    make_payment: Callable[..., Payment],
) -> None:
    keys = api_rows.of_everything(make_settlement, make_payment)
    for label in [*api_rows.GOOD, "POST /api/payments/"]:
        method, _space, path = label.partition(" ")
        good = api_rows.good(label, keys)
        if "{" in path:
            path = re.sub(r"\{\w+\}", str(api_rows.key_of(label, good, keys)), path)
        if method != "GET":
            ask(admin_client, method, path.removeprefix("/api/"), good.body, **(good.headers or {}))
    audit.note({*NAMES, *Settlement.objects.values_list("description", flat=True)})
    assert audit.read > 30
    assert sorted(audit.left) == []


def test_what_each_address_of_the_admin_writes(admin_client: Client, audit: Audit) -> None:
    here = world.build()
    for name in world.names():
        with undone():
            admin_client.post(world.address(name, here), world.sent(name, here))
            audit.note(NAMES)
    assert audit.read > 20
    assert sorted(audit.left) == []


def test_what_actions_and_forms_of_pages_write(
    admin_client: Client, audit: Audit, settlement: Settlement, payer: User
) -> None:
    scene.build(settlement, payer)
    names = {*NAMES, settlement.description}
    for model in WITH_ACTIONS:
        for said in _actions_of(model, admin_client):
            with undone():
                admin_client.post(reverse(f"admin:{model}_changelist"), said)
                audit.note(names)
    rows = {"settlements_settlement": settlement, "auth_user": payer}
    rows["settlements_payment"] = Payment.objects.filter(status="pending").latest("created_at")
    for model, row in rows.items():
        address = reverse(f"admin:{model}_change", args=[row.pk])
        for form in forms_on(address, admin_client.get(address).content.decode()):
            with undone():
                form.send(admin_client, {"reason": [REASON]})
                audit.note(names)
    assert audit.read > 30
    assert sorted(audit.left) == []


def _actions_of(model: str, client: Client) -> Iterator[dict[str, Any]]:
    """What is sent to do each action of a list to one row of it, and to all."""
    context = client.get(reverse(f"admin:{model}_changelist")).context
    keys = [str(row.pk) for row in context["cl"].result_list]
    for name, _label in context["action_form"].fields["action"].choices:
        for some in (keys[:1], keys):
            said = {"action": name, "_selected_action": some, "index": "0", "confirmed": name, "post": "yes"}
            yield said | {"reason": REASON, "failure_reason": "no money"}


@pytest.mark.parametrize("verb", ["hold", "cancel", "move"])
def test_what_changes_of_a_day_write(
    admin_client: Client, audit: Audit, settlement: Settlement, payer: User, verb: str
) -> None:
    scene.build(settlement, payer)
    for days in range(14):
        change(admin_client, day_url(database_now("default") + timedelta(days=days), f"{verb}/"), days="7")
    audit.note(NAMES)
    assert audit.read
    assert sorted(audit.left) == []


FORMS_OF_THE_ADMIN = [
    ("Added.", "Hinzugefügt."),
    ("Changed Amount and Due date.", "Betrag und Fälligkeitsdatum geändert."),
    (
        "Changed Amount. Added payment “€5.00 (pending)”.",
        "Betrag geändert. Zahlung „€5.00 (ausstehend)“ hinzugefügt.",
    ),
    ("Changed Nobody knows that.", "Nobody knows that geändert."),
    ("Added with €1,000.00, completed.", "Hinzugefügt mit €1,000.00, abgeschlossen."),
    ("Changed amount on the page of its settlement.", "Betrag auf der Seite der Abrechnung geändert."),
    ("Added on the page of its settlement.", "Hinzugefügt auf der Seite der Abrechnung."),
    ("Deleted on the page of its settlement.", "Gelöscht auf der Seite der Abrechnung."),
    (
        "Refunded: completed → completed, €1.00 refunded.",
        "Erstattet: abgeschlossen → abgeschlossen, €1.00 erstattet.",
    ),
]


@pytest.mark.parametrize(("kept", "told"), FORMS_OF_THE_ADMIN)
def test_what_a_form_changed_is_told(kept: str, told: str) -> None:
    with translation.override("de"):
        assert retold(kept) == told
    with translation.override("en"):
        assert retold(kept) == kept


NAMES_AND_TOLD = [
    ("settlements.payment", "€1.00 (completed)", "€1.00 (abgeschlossen)"),
    ("settlements.barredaddress", "bounced (cleared)", "nichts annahm (freigegeben)"),
    ("settlements.discrepancy", "paid too much", "zu viel bezahlt"),
    ("settlements.settlement", "completed", "completed"),
    ("auth.user", "completed", "completed"),
]


@pytest.mark.parametrize(("kind", "name", "told"), NAMES_AND_TOLD)
def test_a_name_that_says_how_its_record_stands_is_told(kind: str, name: str, told: str) -> None:
    with translation.override("de"):
        assert retold_name(kind, name) == told
    with translation.override("en"):
        assert retold_name(kind, name) == name


def test_a_payment_that_is_added_over_http_stands_in_german_in_the_audit(
    admin_client: Client, settlement: Settlement
) -> None:
    said = {"settlement": str(settlement.pk), "amount": "1.00"}
    read(ask(admin_client, "POST", "payments/", said, **{"Idempotency-Key": "once"}))
    page = admin_client.get(AUDIT, {"type": "settlements.payment"}, **GERMAN).content.decode()
    assert "Hinzugefügt mit" in page
    assert "Added" not in page and "(pending)" not in page


def test_the_names_of_several_records_are_told(admin_client: Client) -> None:
    kept = "Delete: €1.00 (pending), €1,000.00 (failed) and 3 more"
    with translation.override("de"):
        told = retold_beside("Delete", kept, "settlements.payment")
    assert told == "€1.00 (ausstehend), €1,000.00 (fehlgeschlagen) und 3 weitere"
