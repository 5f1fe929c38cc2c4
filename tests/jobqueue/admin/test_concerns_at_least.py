"""What apps say whom jobs are about, put together: never a number as if exact that is not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.http import HttpRequest

from jobqueue.admin import Concern, Groups, Total, sums_concerns, tells_concerns
from jobqueue.models import Job
from jobqueue.operating import concerned, concerns
from tests.jobqueue.admin.steps import make_job

pytestmark = pytest.mark.django_db(databases=["default", "other"])
EUR = (("EUR", Decimal(7)),)
SOMEBODY = Concern(frozenset({1}))


@pytest.fixture(autouse=True)
def _no_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    """No app tells anything but those of the test; of one job the records are too many to read."""
    for name, nothing in (("_tellers", []), ("_summers", {}), ("_words", {})):
        monkeypatch.setattr(concerns, name, nothing)
    monkeypatch.setattr(concerned, "MOST_SUBJECTS", 1)


def _customers(number: int) -> str:
    return f"{number} customers"


def _app(total: Total, concern: Concern = SOMEBODY, label: str = "shop.invoice") -> None:
    """An app that tells this of its records."""

    @tells_concerns
    def teller(subjects: Collection[str], request: HttpRequest) -> dict[str, Concern]:
        return {one: concern for one in subjects if one.startswith(f"{label}:")}

    @sums_concerns(teller)
    def _summer(groups: Groups, request: HttpRequest) -> Mapping[str, Total]:
        return {"": total}


def _said() -> str:
    """Whom all failed jobs concern."""
    request = HttpRequest()
    request.user = User(is_superuser=True)
    return concerned.concerned(Job.objects.failed(), request)


@pytest.mark.parametrize(
    ("jobs", "words"),
    [(2, "3 people, 7 EUR"), (1, "at least 3 people, 7 EUR"), (None, "at least 3 people, 7 EUR")],
)
def test_a_total_is_exact_that_is_of_all_jobs(jobs: int | None, words: str) -> None:
    for number in (1, 2):
        make_job("failed", subject=f"shop.invoice:{number}")
    _app(Total(3, EUR, jobs=jobs))
    assert _said() == words


def test_jobs_of_two_apps_are_all_jobs_where_one_of_them_knows_no_people() -> None:
    for subject in ("shop.invoice:1", "stock.parcel:1"):
        make_job("failed", subject=subject)
    _app(Total(3, jobs=1))
    _app(Total(0, EUR, jobs=1), Concern(amounts=EUR), "stock.parcel")
    assert _said() == "3 people, 7 EUR"


def test_people_are_called_as_their_app_says(monkeypatch: pytest.MonkeyPatch) -> None:
    make_job("failed", subject="shop.invoice:1")
    _app(Total(3, jobs=1, said=_customers), Concern(frozenset({1}), said=_customers))
    assert _said() == "3 customers"
    monkeypatch.setattr(concerned, "MOST_SUBJECTS", 9)
    assert _said() == "1 customers"


def test_those_who_are_called_in_two_ways_are_people(monkeypatch: pytest.MonkeyPatch) -> None:
    for subject in ("shop.invoice:1", "stock.parcel:1"):
        make_job("failed", subject=subject)
    _app(Total(3, jobs=1, said=_customers), Concern(frozenset({1}), said=_customers))
    _app(Total(2, jobs=1), Concern(frozenset({2})), "stock.parcel")
    assert _said() == "at least 3 people"
    monkeypatch.setattr(concerned, "MOST_SUBJECTS", 9)
    assert _said() == "2 people"


def test_the_word_of_an_app_is_for_what_it_told_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concerned, "MOST_SUBJECTS", 9)
    make_job("failed", subject="shop.invoice:1")

    @tells_concerns(people=_customers)
    def _customers_of(subjects: Collection[str], request: HttpRequest) -> dict[str, Concern]:
        return dict.fromkeys(subjects, Concern(frozenset({1, 2})))

    _app(Total(0), label="stock.parcel")
    assert _said() == "2 customers"


def test_numbers_of_jobs_are_told_with_each_record_once() -> None:
    for subject in ("shop.invoice:1", "shop.invoice:1", "stock.parcel:1", "other.record:1", ""):
        make_job("failed", cause="OSError", subject=subject)
    groups = Groups(Job.objects.failed(), is_by_cause=True)
    with connections[groups.using].cursor() as cursor:
        cursor.execute(*groups.numbers("shop.invoice", "stock.parcel"))
        found = sorted(cursor.fetchall())
    assert found == [("OSError", "shop.invoice:1", 2), ("OSError", "stock.parcel:1", 1)]


def test_the_statement_of_one_model_gives_names_and_subjects_alone() -> None:
    for subject in ("shop.invoice:1", "shop.invoice:1", "stock.parcel:1"):
        make_job("failed", subject=subject)
    groups = Groups(Job.objects.failed(), is_by_cause=False)
    with connections[groups.using].cursor() as cursor:
        cursor.execute(*groups.statement("shop.invoice"))
        assert list(cursor.fetchall()) == [("", "shop.invoice:1")]
