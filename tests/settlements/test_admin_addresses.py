"""Barred addresses in the admin, and on the page of the user whose address it is."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.test import Client

from settlements.admin.user_page import show_barred_addresses_of_users
from settlements.models import BarredAddress
from tests.jobqueue.admin.steps import operator, text_of
from tests.settlements.admin_steps import (
    ADDRESSES,
    USERS,
    ask,
    buttons_of,
    errors_of,
    give_reason,
    history_of,
    page_of,
    said,
    saved,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def barred(db: None) -> BarredAddress:
    """The payer's address, which bounced."""
    return BarredAddress.objects.create(
        address="payer@example.com", cause="bounced", detail="550 <payer@example.com> no such user"
    )


def _found(client: Client, **query: str) -> list[Any]:
    return [row.address for row in client.get(ADDRESSES, query).context["cl"].result_list]


def test_the_list_hides_most_of_an_address(admin_client: Client, barred: BarredAddress) -> None:
    text = text_of(admin_client.get(ADDRESSES))
    assert "payer@example.com" not in text
    assert "p… at example.com" in text
    assert '<span class="jq-badge jq-bounced">bounced</span>' in text
    assert "payer@example.com" in text_of(admin_client.get(page_of(barred)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("payer@example.com", True),
        (" PAYER@example.com ", True),
        ("payer", False),
        ("example.com", False),
        ("p%", False),
    ],
)
def test_an_address_is_found_only_by_the_whole_of_it(
    admin_client: Client, barred: BarredAddress, text: str, found: bool
) -> None:
    assert bool(_found(admin_client, q=text)) is found


def test_barred_and_cleared_ones_are_filtered(
    admin_client: Client, admin_user: User, barred: BarredAddress
) -> None:
    cleared = BarredAddress.objects.create(address="b@example.com", cause="refused")
    cleared.clear(admin_user, "mended")
    assert _found(admin_client, state="barred") == ["payer@example.com"]
    assert _found(admin_client, state="cleared") == ["b@example.com"]
    assert len(_found(admin_client)) == 2


def test_those_that_an_operator_paused_are_a_cause_of_their_own(
    admin_client: Client, barred: BarredAddress
) -> None:
    BarredAddress.objects.create(address="b@example.com", cause=BarredAddress.PAUSED)
    assert _found(admin_client, cause="paused") == ["b@example.com"]
    assert "paused by an operator</span>" in text_of(admin_client.get(ADDRESSES))


# Clearing -----------------------------------------------------------------------------------------


def test_clearing_says_who_when_and_why(
    admin_client: Client, admin_user: User, barred: BarredAddress
) -> None:
    assert said(give_reason(admin_client, "clear", barred, reason="has a new mailbox")) == [
        "1 barred address cleared."
    ]
    barred.refresh_from_db()
    assert (barred.is_barred, barred.cleared_by, barred.clearing_reason) == (
        False,
        admin_user,
        "has a new mailbox",
    )
    assert history_of(barred) == ["Cleared: barred → cleared. Reason: has a new mailbox"]
    assert buttons_of(admin_client.get(page_of(barred))) == []


def test_clearing_asks_for_a_reason_and_shows_no_address(admin_client: Client, barred: BarredAddress) -> None:
    assert "payer@example.com" not in text_of(ask(admin_client, "clear", barred))
    assert give_reason(admin_client, "clear", barred, reason="").context["form"].errors["reason"]
    barred.refresh_from_db()
    assert barred.is_barred


def test_what_was_cleared_keeps_its_reason(admin_client: Client, barred: BarredAddress) -> None:
    give_reason(admin_client, "clear", barred, reason="first")
    [message] = said(give_reason(admin_client, "clear", barred, reason="second"))
    assert "left alone: bounced (cleared)." in message
    barred.refresh_from_db()
    assert barred.clearing_reason == "first"


def test_clearing_takes_a_permission_of_its_own(barred: BarredAddress) -> None:
    client = operator("settlements.view_barredaddress", "settlements.change_barredaddress")
    give_reason(client, "clear", barred)
    barred.refresh_from_db()
    assert barred.is_barred
    assert buttons_of(client.get(page_of(barred))) == []


# Adding -------------------------------------------------------------------------------------------


def _add(client: Client, **entered: str) -> Any:
    values = {"address": "Zoe@Example.com", "cause": "complained", "detail": "by telephone"}
    return client.post(f"{ADDRESSES}add/", values | entered)


def test_an_address_is_added_by_hand_in_small_letters(admin_client: Client) -> None:
    saved(_add(admin_client))
    row = BarredAddress.objects.get()
    assert (row.address, row.cause, row.detail) == ("zoe@example.com", "complained", "by telephone")
    assert row.is_barred


def test_one_that_is_barred_already_is_refused(admin_client: Client, barred: BarredAddress) -> None:
    added = _add(admin_client, address="PAYER@example.com", cause="bounced")
    assert "This address is barred already." in errors_of(added)


def test_one_that_was_cleared_is_barred_again(
    admin_client: Client, admin_user: User, barred: BarredAddress
) -> None:
    barred.clear(admin_user, "mended")
    saved(_add(admin_client, address="payer@example.com"))
    barred.refresh_from_db()
    assert (barred.is_barred, barred.cause, barred.clearing_reason) == (True, "complained", "")


@pytest.mark.parametrize("entered", [{"address": "x"}, {"address": ""}, {"cause": ""}, {"detail": "x" * 501}])
def test_a_wrong_value_is_an_error_of_the_form(admin_client: Client, entered: dict[str, str]) -> None:
    errors_of(_add(admin_client, **entered))
    assert not BarredAddress.objects.exists()


def test_the_audit_names_no_address(admin_client: Client) -> None:
    saved(_add(admin_client))
    entry = LogEntry.objects.get()
    assert "example.com" not in entry.object_repr + entry.get_change_message()


def test_adding_takes_its_permission_and_nothing_is_changed_or_deleted(
    admin_client: Client, barred: BarredAddress
) -> None:
    assert _add(operator("settlements.view_barredaddress")).status_code == 403
    assert admin_client.post(page_of(barred), {"cause": "refused"}).status_code == 403
    assert admin_client.post(f"{ADDRESSES}{barred.pk}/delete/", {"post": "yes"}).status_code == 403


# The page of a user -------------------------------------------------------------------------------


def test_the_page_of_a_user_says_that_the_address_is_barred(
    admin_client: Client, payer: User, barred: BarredAddress
) -> None:
    User.objects.filter(pk=payer.pk).update(email="Payer@Example.com")
    text = text_of(admin_client.get(page_of(payer)))
    assert f'<a href="{page_of(barred)}">barred since' in text
    assert "because it bounced" in text


def test_a_user_with_another_address_is_not_barred(
    admin_client: Client, payee: User, barred: BarredAddress
) -> None:
    assert "barred since" not in text_of(admin_client.get(page_of(payee)))


def test_who_may_not_see_barred_addresses_gets_no_link(payer: User, barred: BarredAddress) -> None:
    text = text_of(operator("auth.view_user").get(page_of(payer)))
    assert "barred since" in text
    assert page_of(barred) not in text


def test_users_are_still_saved_searched_and_offered(
    admin_client: Client, payer: User, barred: BarredAddress
) -> None:
    form = {"username": "payer", "email": "new@example.com", "date_joined_0": "2026-01-01"}
    saved(admin_client.post(page_of(payer), {**form, "date_joined_1": "12:00:00", "is_active": "on"}))
    payer.refresh_from_db()
    assert payer.email == "new@example.com"
    assert "barred since" not in text_of(admin_client.get(page_of(payer)))
    assert [row.pk for row in admin_client.get(USERS, {"q": "payer"}).context["cl"].result_list] == [payer.pk]
    query = {"app_label": "settlements", "model_name": "settlement", "field_name": "payer", "term": "pay"}
    assert str(payer.pk) in text_of(admin_client.get("/admin/autocomplete/", query))
    assert admin_client.get(f"{USERS}add/").status_code == 200


class _OwnUserAdmin(UserAdmin):
    list_display = ("username",)


@pytest.mark.parametrize("own", [_OwnUserAdmin, admin.ModelAdmin])
def test_another_admin_of_users_keeps_what_it_does(own: type[Any]) -> None:
    site = AdminSite(name="another")
    site.register(User, own)
    show_barred_addresses_of_users(site)
    show_barred_addresses_of_users(site)
    found = type(site.get_model_admin(User))
    assert issubclass(found, own)
    assert found.list_display == own.list_display
    assert found.__mro__.count(own) == 1


def test_a_site_without_users_stays_so() -> None:
    site = AdminSite(name="another")
    show_barred_addresses_of_users(site)
    assert not site.is_registered(User)
