"""Whom failed jobs are about and what it is worth: told by apps, shown before a retry."""

from __future__ import annotations

from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client

from jobqueue.admin import Concern, tells_concerns
from jobqueue.models import subject_of
from jobqueue.operating import bulk_plans, concerns
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
    assert [cause.concerned for cause in causes] == ["2 people, 31.50 EUR", ""]
    assert len(shop) == 1


def test_the_question_says_it_too(
    admin_client: Client, shop: list[Collection[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job("failed", subject="shop.invoice:1")
    text = text_of(admin_client.post(START, {"verb": "retry"}))
    assert "They are about 1 person, 10.50 EUR." in text


def test_of_more_than_can_be_read_it_says_at_least(
    admin_client: Client, shop: list[Collection[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_plans, "MOST_SUBJECTS", 2)
    for number in (1, 2, 3):
        make_job("failed", subject=f"shop.invoice:{number}")
    assert "They are about at least 2 people, 21.00 EUR." in text_of(
        admin_client.post(START, {"verb": "delete"})
    )


def test_it_says_at_least_also_where_causes_share_what_they_are_about(
    admin_client: Client, shop: list[Collection[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_plans, "MOST_SUBJECTS", 2)
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
    make_job("failed", cause="OSError", subject="settlements.settlement:no-key")
    [cause] = admin_client.get(CAUSES).context["causes"]
    assert cause.concerned == f"2 people, {2 * first.amount.amount:,.2f} {first.amount.currency}"


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
