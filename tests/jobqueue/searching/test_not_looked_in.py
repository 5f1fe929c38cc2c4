"""Who may not see people and records is told that a search was not looked for there, and what that takes."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from jobqueue.searching import FoundRecord, RecordSource, register_source, sources, unregister_source
from tests.jobqueue.admin.steps import JOBS, choose, make_job, operator, text_of
from tests.jobqueue.api.steps import get
from tests.jobqueue.groups import member_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
NOT_LOOKED_IN = "Not looked in, as you may not see them:"
CRATES = f"{NOT_LOOKED_IN} Crates (that takes the permission auth.view_group or auth.view_user)."


@pytest.fixture(autouse=True)
def only_crates(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A project whose one app with records has crates, which who may view users or groups may see."""
    monkeypatch.setattr(sources, "_sources", {})

    def find(searches: Any, most: int) -> Any:
        return [[FoundRecord(user, user.username) for user in User.objects.all()[:most]] for _one in searches]

    permissions = ("auth.view_group", "auth.view_user")
    register_source(RecordSource("shop.crates", "Crates", permissions, find, lambda addresses: [[]]))
    yield
    unregister_source("shop.crates")


def _page(client: Client, text: str) -> str:
    return unescape(text_of(client.get(JOBS, {"q": text})))


@pytest.mark.parametrize("group", ["Job viewer", "Job operator"])
@pytest.mark.parametrize(
    "text", ["clara", "clara@spendsync.example", 'about:"Rent"', "-clara", "state:failed about:clara"]
)
def test_an_empty_list_says_where_it_was_not_looked(group: str, text: str) -> None:
    page = _page(member_of(group), text)
    assert CRATES in page


def test_a_list_that_found_something_else_says_so_too() -> None:
    job = make_job("failed", reason="ValueError: clara is away")
    page = _page(member_of("Job operator"), "clara")
    assert CRATES in page and f"#{job.pk}" in page


def test_an_address_that_is_looked_for_in_payloads_names_whom_it_was_not_looked_for_in() -> None:
    client = operator("view_job", "view_payload")
    assert CRATES in _page(client, "email:clara@spendsync.example")


@pytest.mark.parametrize("text", ["state:failed", "id:5", "queue:email", "error:clara"])
def test_what_is_looked_for_in_no_record_says_nothing_of_them(text: str) -> None:
    assert NOT_LOOKED_IN not in _page(member_of("Job operator"), text)


def test_who_may_see_them_is_told_nothing(admin_client: Client) -> None:
    assert NOT_LOOKED_IN not in _page(admin_client, "clara")


def test_the_page_before_an_action_on_the_whole_list_says_so() -> None:
    make_job("delayed")
    client = member_of("Job operator")
    page = text_of(choose(client, "cancel", url=f"{JOBS}?q=-clara", select_across="1"))
    assert CRATES in unescape(page)


def test_the_api_names_them_of_a_list_and_of_what_an_action_would_do(admin_client: Client) -> None:
    hidden = [{"records": "shop.crates", "permissions": ["auth.view_group", "auth.view_user"]}]
    client = member_of("Job operator")
    for path in ("jobs/?search=", "bulk/plan/?verb=cancel&search="):
        assert get(client, f"{path}about:Rent")["not_looked_in"] == hidden
        assert get(client, f"{path}state:waiting")["not_looked_in"] == []
        assert get(admin_client, f"{path}clara")["not_looked_in"] == []


def test_the_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    member_of("Job operator", username="olaf")
    call_command("jobqueue_jobs", "clara", "--as", "olaf")
    assert CRATES in "".join(capsys.readouterr())


# The line above the list -----------------------------------------------------------------------------


def test_the_help_names_what_this_user_may_search(admin_client: Client) -> None:
    page = _page(admin_client, "")
    assert "Text looks in ids, processors, errors and in: Crates." in page
    assert "email:name@host" in page and 'about:"Rent"' in page


def test_the_help_leaves_out_what_this_user_may_not_search() -> None:
    page = _page(member_of("Job operator"), "")
    assert "Text looks in ids, processors and errors. Or" in page
    assert [
        word for word in ("Crates", "email:name@host", "args.user_id:5", 'about:"Rent"') if word in page
    ] == []
