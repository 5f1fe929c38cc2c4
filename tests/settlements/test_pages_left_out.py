"""An admin that does without some pages of settlements or of their jobs: the others name what they know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import clear_url_caches, get_resolver, path
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job, subject_of
from jobqueue.sql.clock import database_now
from settlements.admin.findings import LATE
from settlements.models import (
    BarredAddress,
    Discrepancy,
    EmailDelivery,
    Payment,
    ReminderDelivery,
    Settlement,
)
from tests.jobqueue.admin.steps import make_job
from tests.settlements.admin_steps import USERS, page_of
from tests.settlements.steps import forget_jobs

pytestmark = pytest.mark.django_db(databases=["default", "other"])

OVERVIEW = "/admin/jobqueue/queue/overview/"
MODELS = (BarredAddress, Discrepancy, EmailDelivery, Payment, ReminderDelivery, Settlement, Job)


@pytest.fixture
def leave_out(settings: DjangoSettings) -> Iterator[Callable[[type[Model]], None]]:
    """Takes the pages of a model out of the admin, until the test is over."""
    registered = dict(admin.site._registry)
    others = [one for one in get_resolver().url_patterns if getattr(one, "app_name", "") != "admin"]

    def leave_out(model: type[Model]) -> None:
        admin.site.unregister(model)
        urls = ModuleType(f"urls_without_{model._meta.model_name}")
        urls.urlpatterns = [path("admin/", admin.site.urls), *others]  # type: ignore[attr-defined]
        settings.ROOT_URLCONF = urls

    yield leave_out
    admin.site._registry = registered
    clear_url_caches()


@pytest.fixture
def settlement_with_all(
    settlement: Settlement, payer: User, make_payment: Callable[..., Payment]
) -> Settlement:
    """A settlement about which there is something on every page."""
    forget_jobs()
    about, late = subject_of(settlement), database_now("default") - 2 * LATE
    make_payment(settlement=settlement)
    make_job("failed", processor="reminders.send", queue="reminders", subject=about, run_at=late)
    make_job("failed", processor="email.notification", subject=about, payload={"user_id": payer.pk})
    EmailDelivery.objects.create(user=payer, recipient=payer.email, about=about, message_id="<1@x>")
    Discrepancy.objects.create(settlement=settlement, kind="overpaid", amount=1, currency="EUR")
    for address in (payer.email, "a@example.com", "b@example.com"):
        BarredAddress.objects.create(address=address.lower(), cause="bounced")
    return settlement


@pytest.mark.parametrize("model", MODELS)
def test_the_other_pages_are_shown_without_a_way_there(
    admin_client: Client,
    settlement_with_all: Settlement,
    payer: User,
    leave_out: Callable[[type[Model]], None],
    model: type[Model],
) -> None:
    leave_out(model)
    pages = [OVERVIEW, f"{USERS}{payer.pk}/letters/", f"{USERS}{payer.pk}/change/"]
    pages += [page_of(settlement_with_all)] if model is not Settlement else []
    missing = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    for address in pages:
        response = admin_client.get(address)
        assert response.status_code == 200
        assert f'href="{missing}' not in response.content.decode()
