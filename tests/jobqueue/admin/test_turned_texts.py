"""What people and errors wrote turns round no sentence of the console's own, on any page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import models
from django.test import Client

from jobqueue.models import Job, Queue
from tests.jobqueue.admin import world
from tests.jobqueue.admin.steps import add_attempt, make_job, page_of

pytestmark = [pytest.mark.django_db(databases=["default", "other"]), pytest.mark.one_database]
TURNED = "mail down \u202egnp.exe a@b\u2066"
# What the rows are found by, or what the code gives and no person writes.
_KEYS = {"processor", "queue", "state", "message_id", "address", "password", "verb", "kind"}
_KEYS |= {
    "about",
    "object_type",
    "object_id",
    "cause",
    "outcome",
    "level",
    "template_type",
    "username",
    "unique_key",
}
# Names that are refused with such characters, or that the operating system gives.
_KEYS |= {"who", "asked_by", "name", "hostname", "version"}
_TURNING = re.compile("[^\n]{0,90}[\u202a-\u202e\u2066-\u2069][^\n]{0,20}")
# Each stands apart from what is around it, as a block of its own does, or is to be as it was written.
_APART = re.compile(
    r"<bdi>.*?</bdi>|<textarea.*?</textarea>| value=\"[^\"]*\"|<div class=\"readonly\">[^<]*</div>", re.DOTALL
)


def _written_by_people(model: type[models.Model]) -> Iterator[str]:
    for field in model._meta.concrete_fields:
        is_text = isinstance(field, models.CharField | models.TextField) and not field.choices
        is_key = field.unique or field.name in _KEYS or "currency" in field.name
        is_key |= model is Job and field.name == "subject"
        if is_text and not is_key and (field.max_length or 100) >= len(TURNED):
            yield field.name


def _turn_everything() -> None:
    """Write the text wherever one can stand, and have the banner of pauses on every page."""
    User.objects.exclude(username="admin").update(first_name=TURNED, last_name=TURNED)
    LogEntry.objects.update(change_message=TURNED, object_repr=TURNED)
    for label in ("jobqueue", "settlements"):
        for model in apps.get_app_config(label).get_models():
            texts = dict.fromkeys(_written_by_people(model), TURNED)
            if texts and not model._meta.proxy and model._meta.managed:
                model._base_manager.update(**texts)
    Queue.objects.update(paused=True)


def _turned(page: str) -> list[str]:
    """Where a page holds what turns its texts round, and sets nothing apart."""
    return [match[0] for match in _TURNING.finditer(_APART.sub("", page))]


def test_no_text_turns_round_a_page(admin_client: Client) -> None:
    here = world.build()
    jobs = [make_job("failed"), make_job("cancelled"), make_job("active"), make_job("completed"), make_job()]
    add_attempt(jobs[0])
    _turn_everything()
    asked = [world.address(name, here) for name in world.names() if not name.endswith("_letter")]
    asked += [page_of(job) for job in jobs]

    pages = {address: admin_client.get(address, follow=True) for address in asked}

    shown = {address: page for address, page in pages.items() if "html" in page.headers["Content-Type"]}
    turned = {address: _turned(page.content.decode()) for address, page in shown.items()}
    assert {address: found[:3] for address, found in turned.items() if found} == {}
    assert len(shown) > 60


def test_right_to_left_names_stay_as_they_are(admin_client: Client) -> None:
    job = make_job("cancelled", reason="cancelled by נועה: \u200fלא צריך\u200f")
    assert "נועה: \u200fלא צריך\u200f" in admin_client.get(page_of(job)).content.decode()


def test_what_turns_texts_is_shown_as_it_is_written_in_code(admin_client: Client) -> None:
    job = make_job("failed", reason=f"ValueError: {TURNED}")
    assert (
        f"ValueError: {TURNED}".encode("ascii", "backslashreplace").decode()
        in (admin_client.get(page_of(job)).context["why"])
    )
    assert Job.objects.get(pk=job.pk).reason == f"ValueError: {TURNED}"
