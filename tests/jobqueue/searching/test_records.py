"""Whether a list of jobs is of all records that a search finds, and that it says so where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobqueue.models import Job, bulk
from jobqueue.searching import (
    FoundRecord,
    FoundRecords,
    RecordSource,
    Search,
    find_jobs,
    parse,
    query,
    register_source,
    unregister_source,
)
from jobqueue.searching.sources import MOST_RECORDS
from tests.jobqueue.admin.steps import JOBS, choose, make_job, text_of
from tests.jobqueue.api.steps import get

pytestmark = pytest.mark.django_db(databases=["default", "other"])
SAID = "More records match than were looked at"


def _found(text: str, user: User) -> Any:
    search = parse(text)
    assert isinstance(search, Search), search
    return find_jobs(Job.objects.all(), search, user)


@pytest.fixture
def parcels(admin_user: User, request: pytest.FixtureRequest) -> Iterator[None]:
    """A third app whose records are all found, by a source that says as much of them as it is told to."""

    def find(searches: Any, most: int) -> Any:
        users = User.objects.filter(username__startswith="parcel").order_by("-pk")[:most]
        found = [FoundRecord(user, user.username, is_cut=request.param == "related") for user in users]
        one = FoundRecords(found, is_cut=True) if request.param == "looked through" else found
        return [one for _words in searches]

    register_source(RecordSource("shop.parcels", "Parcels", "auth.view_user", find))
    yield
    unregister_source("shop.parcels")


def _parcels(number: int) -> None:
    User.objects.bulk_create(User(username=f"parcel {one}") for one in range(number))


@pytest.mark.usefixtures("parcels")
@pytest.mark.parametrize("parcels", ["found"], indirect=True)
@pytest.mark.parametrize("text", ["parcel", "about:parcel", "-parcel", "parcel skip"])
def test_that_more_records_match_than_are_looked_at_is_said(admin_user: User, text: str) -> None:
    _parcels(MOST_RECORDS)
    assert not _found(text, admin_user).records_cut
    User.objects.create_user("parcel more")
    found = _found(text, admin_user)
    assert found.records_cut
    assert all(len(records) <= MOST_RECORDS for records in found.records.values())


@pytest.mark.usefixtures("parcels")
@pytest.mark.parametrize("parcels", ["related", "looked through"], indirect=True)
def test_that_a_source_looks_at_fewer_than_there_are_is_said(admin_user: User) -> None:
    assert not _found("state:failed", admin_user).records_cut
    _parcels(1)
    assert _found("about:parcel", admin_user).records_cut


@pytest.mark.usefixtures("parcels")
@pytest.mark.parametrize("parcels", ["found"], indirect=True)
def test_that_a_text_stands_for_more_subjects_than_are_looked_at_is_said(
    admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    _parcels(3)
    assert not _found("parcel", admin_user).records_cut
    monkeypatch.setattr(query, "_MOST_SUBJECTS", 2)
    assert _found("parcel", admin_user).records_cut


@pytest.mark.usefixtures("parcels")
@pytest.mark.parametrize("parcels", ["found"], indirect=True)
def test_the_list_and_what_asks_before_an_action_on_it_say_so(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    _parcels(MOST_RECORDS + 1)
    newest = User.objects.latest("pk")
    for _ in range(2):
        make_job(subject=f"auth.user:{newest.pk}")
    address = f"{JOBS}?q=about:parcel"
    assert SAID in text_of(admin_client.get(address))
    assert SAID in text_of(choose(admin_client, "cancel", url=address, select_across="1"))
    monkeypatch.setattr(bulk, "BATCH", 1)
    assert SAID in text_of(choose(admin_client, "cancel", url=address, select_across="1"))
    assert SAID not in text_of(admin_client.get(JOBS, {"q": "state:waiting"}))


@pytest.mark.usefixtures("parcels")
@pytest.mark.parametrize("parcels", ["found"], indirect=True)
def test_the_api_says_so_of_a_list_and_of_what_an_action_would_do(admin_client: Client) -> None:
    _parcels(MOST_RECORDS + 1)
    for path in ("jobs/?search=", "bulk/plan/?verb=cancel&search="):
        assert get(admin_client, f"{path}about:parcel")["records_cut"] is True
        assert get(admin_client, f"{path}state:waiting")["records_cut"] is False


@pytest.fixture
def crates(admin_user: User) -> Iterator[list[Any]]:
    """A third app that notes what it is asked; a search for "broken" meets a row that cannot be read."""
    asked: list[Any] = []

    def find(searches: Any, most: int) -> Any:
        asked.append([list(words) for words in searches])
        if ["broken"] in asked[-1]:
            raise ValueError("no crate")
        if ["few"] in asked[-1]:
            return []
        return [[FoundRecord(admin_user, "crate")] if list(words) == ["crate"] else [] for words in searches]

    register_source(RecordSource("shop.crates", "Crates", "auth.view_user", find))
    yield asked
    unregister_source("shop.crates")


def test_a_source_is_asked_once_for_all_words_of_a_search(admin_user: User, crates: list[Any]) -> None:
    _found("about:anna -bert -about:anna crate skip state:failed error:late", admin_user)
    assert crates == [[["anna"], ["bert"], ["crate", "skip"], ["crate"]]]
    _found("state:failed error:late", admin_user)
    assert len(crates) == 1


def test_a_row_that_keeps_one_word_from_being_answered_keeps_no_other(
    admin_user: User, crates: list[Any]
) -> None:
    about, other = make_job(subject=f"auth.user:{admin_user.pk}"), make_job()
    assert set(_found("-crate -broken", admin_user).jobs) == {other}
    assert set(_found("about:crate", admin_user).jobs) == {about}
    assert crates[:3] == [[["crate"], ["broken"]], [["crate"]], [["broken"]]]


def test_a_source_that_answers_fewer_searches_than_it_was_asked_is_named(
    admin_user: User, crates: list[Any]
) -> None:
    with pytest.raises(TypeError, match=r"shop\.crates was asked 1 questions at once and answered 0"):
        _found("about:few", admin_user)
