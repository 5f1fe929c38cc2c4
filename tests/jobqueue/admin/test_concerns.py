"""Whom failed jobs are about and what it is worth: told by apps, shown before a retry."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.admin import Concern, tells_concerns
from jobqueue.models import subject_of
from jobqueue.operating import concerned, concerns
from jobqueue.operating.recent import Recent
from settlements.models import Settlement
from tests.jobqueue.admin.steps import CAUSES, make_job, operator, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
START = "/admin/jobqueue/bulkaction/start/"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> list[Collection[str]]:
    """A third app's invoices, each of one of two people and 10.50 EUR; what it was asked."""
    monkeypatch.setattr(concerns, "_tellers", [])
    asked: list[Collection[str]] = []

    @tells_concerns
    def of_invoices(subjects: Collection[str], request: HttpRequest) -> dict[str, Concern]:
        asked.append(subjects)
        return {
            subject: Concern(frozenset({int(subject[-1]) % 2}), (("EUR", Decimal("10.50")),))
            for subject in subjects
            if subject.startswith("shop.invoice:")
        }

    return asked


def test_a_cause_says_whom_it_is_about_and_what_it_is_worth(
    admin_client: Client, shop: list[Collection[str]]
) -> None:
    for number in (1, 2, 3, 3):
        make_job("failed", cause="OSError", subject=f"shop.invoice:{number}")
    make_job("failed", cause="OSError", subject="other.record:7")
    make_job("failed", cause="KeyError", subject="other.record:7")
    causes = admin_client.get(CAUSES).context["causes"]
    assert [cause.concerned for cause in causes] == ["at least 2 people, 31.50 EUR", ""]
    assert len(shop) == 1


def test_the_question_says_it_too(
    admin_client: Client, shop: list[Collection[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job("failed", subject="shop.invoice:1")
    text = text_of(admin_client.post(START, {"verb": "retry"}))
    assert "It is about 1 person, 10.50 EUR." in text


def test_of_more_than_can_be_read_it_says_at_least(
    admin_client: Client, shop: list[Collection[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concerned, "MOST_SUBJECTS", 2)
    for number in (1, 2, 3):
        make_job("failed", subject=f"shop.invoice:{number}")
    assert "They are about at least 2 people, 21.00 EUR." in text_of(
        admin_client.post(START, {"verb": "delete"})
    )


def test_it_says_at_least_also_where_causes_share_what_they_are_about(
    admin_client: Client, shop: list[Collection[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concerned, "MOST_SUBJECTS", 2)
    for cause in ("KeyError", "OSError", "ValueError"):
        make_job("failed", cause=cause, subject="shop.invoice:1")
    assert "They are about at least 1 person, 10.50 EUR." in text_of(
        admin_client.post(START, {"verb": "delete"})
    )


def test_the_page_is_shown_although_an_app_cannot_tell(
    admin_client: Client, shop: list[Collection[str]]
) -> None:
    make_job("failed", cause="OSError", subject="shop.invoice:x")
    [cause] = admin_client.get(CAUSES).context["causes"]
    assert cause.concerned == ""


def test_nobody_is_asked_about_more_failures_than_a_page_may_read(
    admin_client: Client, shop: list[Collection[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobqueue.admin.cause_pages._MOST_CONCERNED", 1)
    for number in (1, 2):
        make_job("failed", subject=f"shop.invoice:{number}")
    text_of(admin_client.get(CAUSES))
    assert shop == []


def test_where_no_app_tells_anything_nothing_is_said(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concerns, "_tellers", [])
    make_job("failed", subject="shop.invoice:1")
    assert (
        "about" not in text_of(admin_client.post(START, {"verb": "retry"})).lower().split("<form")[0][-900:]
    )


def test_settlements_tell_their_people_and_amounts(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    first = make_settlement()
    for settlement in (first, make_settlement()):
        make_job("failed", cause="OSError", subject=subject_of(settlement))
    [cause] = admin_client.get(CAUSES).context["causes"]
    assert cause.concerned == f"2 payers and payees, {2 * first.amount.amount:,.2f} {first.amount.currency}"


def test_people_and_amounts_are_not_told_to_who_may_not_see_settlements(
    make_settlement: Callable[..., Settlement], payer: User
) -> None:
    make_job("failed", subject=subject_of(make_settlement()))
    [cause] = operator("view_job").get(CAUSES).context["causes"]
    assert cause.concerned == ""


def test_the_page_takes_the_same_number_of_queries_for_many_records(
    admin_client: Client, make_settlement: Callable[..., Settlement], django_assert_max_num_queries: Any
) -> None:
    for _ in range(12):
        make_job("failed", subject=subject_of(make_settlement()))
    with django_assert_max_num_queries(15):
        admin_client.get(CAUSES)


# Any number ---------------------------------------------------------------------------------------


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two failed jobs are more than are read one by one."""
    monkeypatch.setattr("jobqueue.admin.cause_pages._MOST_CONCERNED", 1)
    monkeypatch.setattr(concerned, "MOST_SUBJECTS", 1)
    monkeypatch.setattr(concerned, "_recent", Recent(60, 8))


LIVE = {"X-Jobqueue-Live": "1"}
PLACE = re.compile(r'<small id="(jq-concerned-\w+)"[^>]*>(.*?)</small>')


def _places(client: Client, address: str = CAUSES, **headers: str) -> dict[str, str]:
    """What stands in the places where the page says whom its causes are about."""
    return dict(PLACE.findall(text_of(client.get(address, headers=headers))))


def _sums(queries: CaptureQueriesContext) -> int:
    return sum("WITH about AS" in each["sql"] for each in queries)


def _told_apart(client: Client, **asked: str) -> dict[str, str]:
    response = client.get(f"{CAUSES}concerned/", asked)
    assert response.status_code == 200
    return dict(response.context["concerned"])


def test_of_any_number_of_failures_it_is_added_up_beside_the_page(
    admin_client: Client, make_settlement: Callable[..., Settlement], many: None
) -> None:
    first, second = make_settlement(), make_settlement()
    for settlement in (first, first, second):
        make_job("failed", cause="OSError", subject=subject_of(settlement))
    make_job("failed", cause="KeyError", subject=subject_of(first))
    amount = f"{first.amount.amount:,.2f} {first.amount.currency}"
    both = f"2 payers and payees, {2 * first.amount.amount:,.2f} {first.amount.currency}"
    assert _told_apart(admin_client) == {"KeyError": f"2 payers and payees, {amount}", "OSError": both}


def test_the_page_leads_to_it_for_each_cause(
    admin_client: Client, make_settlement: Callable[..., Settlement], many: None
) -> None:
    for cause in ("OSError", ""):
        make_job("failed", cause=cause, queue="email", subject=subject_of(make_settlement()))
    page = admin_client.get(CAUSES, {"queue": "email"})
    apart = text_of(admin_client.get(page.context["concerned_url"]))
    assert text_of(page).count(f'><a href="{page.context["concerned_url"]}">Whom they are about</a>') == 2
    assert apart.count("<td>About 2 payers and payees") == 2


def test_the_script_puts_it_into_the_page_where_the_link_stood(
    admin_client: Client, make_settlement: Callable[..., Settlement], many: None
) -> None:
    for cause in ("OSError", "OSError", "KeyError"):
        make_job("failed", cause=cause, subject=subject_of(make_settlement()))
    page = text_of(admin_client.get(CAUSES))
    before = dict(PLACE.findall(page))
    [address] = set(re.findall(r'data-region-url="([^"]+)"', page))
    told = _places(admin_client, address, **LIVE)
    assert page.count("data-region-first") == 2
    assert all("Whom they are about</a>" in text for text in before.values())
    assert told.keys() == before.keys()
    assert sorted(text.partition(",")[0] for text in told.values()) == ["About 2 payers and payees"] * 2


def test_who_looks_again_at_the_same_failures_finds_it_on_the_page_and_it_is_added_up_once(
    admin_client: Client, make_settlement: Callable[..., Settlement], many: None
) -> None:
    for _ in range(2):
        make_job("failed", cause="OSError", subject=subject_of(make_settlement()))
    with CaptureQueriesContext(connection) as queries:
        first = _places(admin_client)
        asked = _places(admin_client, f"{CAUSES}concerned/", **LIVE)
        assert (_places(admin_client), _sums(queries)) == (asked, 1)
        make_job("failed", cause="OSError", subject=subject_of(make_settlement()))
        assert (_places(admin_client), _sums(queries)) == (first, 1)


def test_what_was_added_up_for_one_user_is_not_told_to_another_or_to_who_lost_the_right(
    make_settlement: Callable[..., Settlement], many: None
) -> None:
    make_job("failed", cause="OSError", subject=subject_of(make_settlement()))
    reader = operator("view_job", "settlements.view_settlement", username="reader")
    assert list(_told_apart(reader)) == ["OSError"]
    assert _told_apart(operator("view_job")) == {}
    User.objects.get(username="reader").user_permissions.filter(codename="view_settlement").delete()
    assert _told_apart(reader) == {}


def test_the_page_asks_no_more_questions_for_many_failures_and_writes_nothing(
    admin_client: Client, make_settlement: Callable[..., Settlement], many: None
) -> None:
    for _ in range(12):
        make_job("failed", subject=subject_of(make_settlement()))
    for address in (CAUSES, f"{CAUSES}concerned/", CAUSES):
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(address, headers=LIVE)
        assert len(queries) <= 15
        written = ("INSERT", "UPDATE", "DELETE")
        assert not [each["sql"] for each in queries if each["sql"].startswith(written)]


def test_it_is_narrowed_as_the_page_is(
    admin_client: Client, make_settlement: Callable[..., Settlement], many: None
) -> None:
    for queue in ("email", "reminders"):
        make_job("failed", cause=queue, queue=queue, subject=subject_of(make_settlement()))
    assert list(_told_apart(admin_client, queue="reminders")) == ["reminders"]
    assert _told_apart(admin_client, queue="nobody") == {}


def test_the_question_about_any_number_is_exact(
    admin_client: Client, make_settlement: Callable[..., Settlement], many: None
) -> None:
    first, second = make_settlement(), make_settlement()
    for settlement, cause in ((first, "OSError"), (first, "KeyError"), (second, "KeyError")):
        make_job("failed", cause=cause, subject=subject_of(settlement))
    text = text_of(admin_client.post(START, {"verb": "delete"}))
    assert (
        f"They are about 2 payers and payees, {2 * first.amount.amount:,.2f} {first.amount.currency}." in text
    )


def test_what_names_no_settlement_counts_for_nothing(
    admin_client: Client, make_settlement: Callable[..., Settlement], many: None
) -> None:
    make_job("failed", cause="OSError", subject=subject_of(make_settlement()))
    for subject in ("settlements.settlement:no-key", "settlements.settlement:", "shop.invoice:7", ""):
        make_job("failed", cause="OSError", subject=subject)
    [told] = _told_apart(admin_client).values()
    assert told.startswith("at least 2 payers and payees, ")


def test_it_is_not_added_up_for_who_may_not_see_settlements(
    make_settlement: Callable[..., Settlement], many: None
) -> None:
    make_job("failed", subject=subject_of(make_settlement()))
    assert _told_apart(operator("view_job")) == {}
    assert operator(username="nobody").get(f"{CAUSES}concerned/").status_code == 403


def test_people_whom_two_apps_know_are_told_as_at_least(
    admin_client: Client, shop: list[Collection[str]], many: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job("failed", cause="OSError")
    total = concerns.Total(3, (("EUR", Decimal(7)),))
    for teller in (*concerns._tellers, lambda subjects, request: {}):
        monkeypatch.setitem(concerns._summers, teller, lambda groups, request: {"OSError": total})
        if teller not in concerns._tellers:
            concerns._tellers.append(teller)
    assert _told_apart(admin_client) == {"OSError": "at least 3 people, 14 EUR"}


def test_a_query_that_cannot_be_read_is_told_there_too(admin_client: Client) -> None:
    assert "Nothing was looked for" in text_of(admin_client.get(f"{CAUSES}concerned/", {"age": "soon"}))
