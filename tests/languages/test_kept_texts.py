"""What is kept in a row is English, whoever did it: nothing that operators do writes down a translation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import models, transaction
from django.test import Client
from django.urls import reverse

from jobqueue.models import BulkAction, bulk
from jobqueue.sql.clock import database_now
from settlements.models import Settlement
from tests.browser import scene
from tests.jobqueue.admin.test_calendar import change, day_url
from tests.jobqueue.operating.test_reasons import FORMS, OVER_HTTP, WHY
from tests.languages.pseudo import CLOSE, OPEN, every_text_marked
from tests.languages.test_every_text import WITH_ACTIONS

pytestmark = [pytest.mark.django_db(databases=["default", "other"]), pytest.mark.one_database]


@pytest.fixture
def german(admin_client: Client) -> Iterator[Client]:
    """An operator who reads German, in which all is marked that is translated."""
    admin_client.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    with every_text_marked(but="en"):
        yield admin_client


@pytest.fixture
def site(settlement: Settlement, payer: User) -> scene.Scene:
    """Something on every page."""
    return scene.build(settlement, payer)


def _kept() -> Iterator[str]:
    """Where a row holds what was translated."""
    for model in [*apps.get_app_config("jobqueue").get_models(), *_others()]:
        texts = [
            field.attname
            for field in model._meta.concrete_fields
            if isinstance(field, models.CharField | models.TextField | models.JSONField)
        ]
        for row in model._default_manager.values(*texts) if texts else ():
            for name, value in row.items():
                if OPEN in str(value) or CLOSE in str(value):
                    yield f"{model._meta.label}.{name}: {value}"


def _others() -> list[type[models.Model]]:
    return [*apps.get_app_config("settlements").get_models(), LogEntry]


@contextmanager
def undone() -> Iterator[None]:
    """What is done stays no longer than it is looked at."""
    with transaction.atomic(), transaction.atomic("other"):
        yield
        for using in ("default", "other"):
            transaction.set_rollback(True, using)


@pytest.mark.parametrize("doors", [OVER_HTTP, FORMS], ids=["over HTTP", "forms"])
def test_no_verb_of_an_operator_keeps_a_translated_text(german: Client, doors: dict[str, Any]) -> None:
    found = []
    for name, knock in doors.items():
        with undone():
            knock(german, WHY)
            found += [f"{name}: {text}" for text in _kept()]
    assert found == []


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("batch", [bulk.BATCH, 0], ids=["at once", "in the background"])
def test_no_action_on_a_list_keeps_a_translated_text(
    german: Client, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(bulk, "BATCH", batch)
    found = []
    for model in WITH_ACTIONS:
        address = reverse(f"admin:{model}_changelist")
        context = german.get(address).context
        keys = [str(row.pk) for row in context["cl"].result_list]
        for name, _label in context["action_form"].fields["action"].choices:
            said = {"action": name, "_selected_action": keys, "index": "0", "select_across": "1"}
            answer = {"confirmed": name, "post": "yes", "reason": "because", "seen": "9999"}
            with undone():
                german.post(address, said | answer, follow=True)
                found += [f"{model} {name}: {text}" for text in _kept()]
    assert found == []


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("verb", ["hold", "cancel", "move"])
def test_no_change_of_a_day_keeps_a_translated_text(german: Client, verb: str) -> None:
    today = database_now("default")
    for days in range(14):
        moment = today + timedelta(days=days)
        change(german, day_url(moment, f"{verb}/"), days="7")
    assert BulkAction.objects.filter(verb=verb).exists()
    assert list(_kept()) == []
