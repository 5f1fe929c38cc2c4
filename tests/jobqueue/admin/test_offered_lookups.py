"""Each list is narrowed by what it offers, and by nothing else that an address may ask of its table."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from tests.jobqueue.admin.steps import FAILED, JOBS, LISTS, QUEUES, WORKERS, ids_of, make_job, operator

pytestmark = pytest.mark.django_db(databases=["default", "other"])

OURS = [model for model in admin.site._registry if model._meta.app_label in ("jobqueue", "settlements")]
GUESSES = {
    "payload__email__startswith": "a",
    "payload__icontains": "a",
    "reason__contains": "a",
    "reason__regex": "(",
    "unique_key__contains": "a",
    "unique_key": "a",
    "pk__in": "1",
    "pk": "1",
    "created_at__date": "2026-01-01",
    "attempts__message__contains": "a",
    "worker_id__isnull": "0",
}


def _list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


@pytest.mark.parametrize("url", LISTS)
def test_nobody_spells_out_by_the_number_of_rows_what_is_masked(url: str) -> None:
    for state in ("waiting", "failed", "stuck"):
        make_job(state, payload={"email": "ada@example.com"}, reason="a", unique_key=f"a{state}")
    client = operator("view_job")
    for lookup, text in GUESSES.items():
        page = client.get(url, {lookup: text})
        assert (page.status_code, page.get("Location")) in [(302, f"{url}?e=1"), (400, None)], lookup


@pytest.mark.parametrize("model", OURS, ids=str)
@pytest.mark.parametrize("lookup", ["regex", "gt"])
def test_no_list_takes_lookups_that_it_does_not_offer(
    admin_client: Client, model: type[Model], lookup: str
) -> None:
    for field in model._meta.concrete_fields:
        page = admin_client.get(_list_of(model), {f"{field.name}__{lookup}": "("})
        shows_rows = page.status_code == 200 and "cl" in (page.context or {})
        assert not shows_rows, field.name
        assert page.status_code in (200, 302, 400), field.name


@pytest.mark.parametrize("model", OURS, ids=str)
def test_what_a_list_offers_it_takes(admin_client: Client, model: type[Model]) -> None:
    page = admin_client.get(_list_of(model))
    changes = (page.context or {}).get("cl")
    for offered in changes.filter_specs if changes else ():
        for choice in offered.choices(changes):
            address = f"{_list_of(model)}{choice['query_string']}"
            assert admin_client.get(address).status_code == 200, address


@pytest.mark.parametrize(
    "address",
    [
        "/admin/settlements/payment/?created_at__gte=9999-12-31T23:59:59-14:00",
        "/admin/settlements/settlement/?due_date__lt=0001-01-01",
        "/admin/settlements/settlement/?status__exact=%00",
        "/admin/settlements/emaildelivery/?template=%00",
    ],
)
def test_what_no_database_takes_is_refused(admin_client: Client, address: str) -> None:
    assert admin_client.get(address).headers["Location"].endswith("?e=1")


@pytest.mark.parametrize("url", [*LISTS, QUEUES, WORKERS])
def test_the_words_of_every_list_stay_its_own(admin_client: Client, url: str) -> None:
    for words in ("q=", "o=1", "p=2", "e=1", "all=", "_popup=1", "_facets=True"):
        assert admin_client.get(f"{url}?{words}").status_code == 200, words


def test_a_filter_finds_as_it_did(admin_client: Client) -> None:
    failed, waiting = make_job("failed", cause="ValueError"), make_job()
    assert ids_of(admin_client.get(JOBS, {"state": "waiting", "queue": "email"})) == {waiting.pk}
    assert ids_of(admin_client.get(FAILED, {"cause": "ValueError", "from": "2020-01-01"})) == {failed.pk}


@pytest.mark.parametrize(
    "number", ["00000000099", "-00000000099", "99", "9" * 5000, "1.00000000001"], ids=len
)
@pytest.mark.parametrize("url", LISTS)
def test_a_column_that_no_list_has_sorts_nothing(admin_client: Client, url: str, number: str) -> None:
    make_job()
    assert admin_client.get(url, {"o": number}).status_code == 200
