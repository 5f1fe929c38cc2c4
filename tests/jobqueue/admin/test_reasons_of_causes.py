"""The reason beside the buttons of a cause: it goes with whichever is pressed."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client

from jobqueue.models import AuditEntry, BulkAction, Cause
from tests.jobqueue.admin.bulk_steps import BULK, SMTP
from tests.jobqueue.admin.sent_forms import SentForm, forms_on
from tests.jobqueue.admin.steps import CAUSES, make_job, operator, text_of

pytestmark = pytest.mark.django_db
REASON = {"reason": ["the mail server is back"]}


def _form(client: Client, address: str = CAUSES) -> SentForm:
    """The one form of the one cause."""
    [form] = [form for form in forms_on(address, text_of(client.get(address))) if form.data.get("cause")]
    return form


def _pressed(client: Client, button: str, address: str = CAUSES) -> SentForm:
    """The form as this button sends it."""
    form = _form(client, address)
    found = re.search(
        rf'<button [^>]*formaction="([^"]+)"[^>]*value="{button}"', text_of(client.get(address))
    )
    return SentForm(unescape(found[1]), {**form.data, "action": [button]}) if found else form


def test_a_retry_at_once_keeps_it(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    form = _form(admin_client)
    assert form.url == f"{BULK}start/" and form.data["reason"] == [""]
    form.send(admin_client, {**REASON, "verb": ["retry"]})
    assert BulkAction.objects.get().reason == "the mail server is back"
    assert AuditEntry.objects.get().reason == "the mail server is back"


def test_the_question_before_a_discard_keeps_what_was_typed(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    page = text_of(_form(admin_client).send(admin_client, {**REASON, "verb": ["delete"]}))
    assert ">the mail server is back</textarea>" in page
    assert not BulkAction.objects.exists()


@pytest.mark.parametrize("permissions", [("mute_cause", "unmute_cause"), ("mute_cause", "retry_job")])
def test_a_mute_keeps_it_and_leads_back_to_what_was_asked_for(permissions: tuple[str, ...]) -> None:
    make_job("failed", cause=SMTP)
    address = f"{CAUSES}?age=hour&queue=email"
    client = operator("view_job", *permissions)
    answer = _pressed(client, "mute", address).send(client, REASON)
    assert answer["Location"] == address
    assert AuditEntry.objects.get().reason == "the mail server is back"
    assert not BulkAction.objects.exists()


def test_the_end_of_a_mute_keeps_it(admin_client: Client) -> None:
    make_job("failed", cause=SMTP)
    _pressed(admin_client, "mute").send(admin_client, {})
    _pressed(admin_client, "unmute").send(admin_client, REASON)
    assert not Cause.objects.filter(muted_at__isnull=False).exists()
    assert AuditEntry.objects.order_by("-pk").values_list("reason", flat=True)[0] == "the mail server is back"


def test_who_may_do_nothing_has_no_form() -> None:
    make_job("failed", cause=SMTP)
    page = text_of(operator("view_job").get(CAUSES))
    assert SMTP in page and "jq-because" not in page
