"""No search box of the admin holds the site, whoever types into it."""

from __future__ import annotations

import time

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from jobqueue.admin import BoundedSearch
from settlements.models import Settlement

pytestmark = pytest.mark.django_db(databases=["default", "other"])

SEARCHED = [model for model, pages in admin.site._registry.items() if pages.search_fields]
REFUSED = "Nothing was looked for"


def _list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


@pytest.mark.parametrize("model", SEARCHED, ids=str)
def test_a_search_of_1900_words_is_refused_at_once_and_says_what_is_allowed(
    admin_client: Client, model: type[Model]
) -> None:
    started = time.monotonic()
    page = admin_client.get(_list_of(model), {"q": " ".join(f"word{number}" for number in range(1_900))})

    assert time.monotonic() - started < 2
    assert page.status_code == 200
    assert page.content.decode().count(REFUSED) == 1
    assert "at most 10 words and 200 characters" in page.content.decode()


@pytest.mark.parametrize("text", ["w" * 201, "w " * 11], ids=["characters", "words"])
def test_one_more_than_allowed_is_refused(admin_client: Client, text: str) -> None:
    page = admin_client.get(_list_of(User), {"q": text.strip()})

    assert REFUSED in page.content.decode()


@pytest.mark.parametrize("text", ["w" * 200, "w " * 10], ids=["characters", "words"])
def test_as_much_as_is_allowed_is_looked_for(admin_client: Client, text: str) -> None:
    assert REFUSED not in admin_client.get(_list_of(User), {"q": text.strip()}).content.decode()


def test_a_refused_search_finds_nothing_that_an_action_could_change(admin_client: Client) -> None:
    page = admin_client.get(_list_of(User), {"q": "admin " * 11})

    assert page.context["cl"].result_count == 0


def test_a_search_of_1900_words_in_an_autocompleted_field_finds_nothing(admin_client: Client) -> None:
    started = time.monotonic()
    answer = admin_client.get(
        reverse("admin:autocomplete"),
        {
            "app_label": "settlements",
            "model_name": "settlement",
            "field_name": "payer",
            "term": "w " * 1_900,
        },
    )

    assert time.monotonic() - started < 2
    assert Settlement._meta.get_field("payer").related_model is User
    assert answer.json()["results"] == []


@pytest.mark.parametrize("model", list(admin.site._registry), ids=str)
def test_the_pages_of_every_app_bound_their_searches(model: type[Model]) -> None:
    assert isinstance(admin.site._registry[model], BoundedSearch)


@pytest.mark.parametrize("model", SEARCHED, ids=str)
def test_a_search_that_no_database_can_take_finds_nothing_and_says_so(
    admin_client: Client, model: type[Model]
) -> None:
    page = admin_client.get(_list_of(model), {"q": "admin\x00"})

    assert REFUSED in page.content.decode()
    assert page.context["cl"].result_count == 0
