"""What the search of the lists finds, and what it does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from jobqueue.models import Job
from settlements.models import Settlement
from tests.jobqueue.admin.steps import (
    JOBS,
    ids_of,
    make_job,
    operator,
)

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.mark.parametrize("form", ["{}", "#{}", "{}-3", " {} "])
def test_a_number_finds_the_job_with_that_id(admin_client: Client, form: str) -> None:
    wanted = make_job()
    make_job()
    assert ids_of(admin_client.get(JOBS, {"q": form.format(wanted.pk)})) == {wanted.pk}


def test_the_whole_subject_finds_its_jobs(admin_client: Client) -> None:
    wanted = make_job(subject="shop.order:17")
    make_job(subject="shop.order:171")
    assert ids_of(admin_client.get(JOBS, {"q": "shop.order:17"})) == {wanted.pk}


def test_the_start_of_a_subject_finds_its_jobs(admin_client: Client) -> None:
    wanted = {make_job(subject=f"shop.order:17{digit}").pk for digit in "ab"}
    make_job(subject="shop.order:2")
    assert ids_of(admin_client.get(JOBS, {"q": "shop.order:17"})) == wanted


def test_the_key_of_a_record_finds_its_jobs(admin_client: Client) -> None:
    key = "3f2a9c1e-0000-4000-8000-000000000001"
    wanted = make_job(subject=f"settlements.settlement:{key}")
    make_job()
    assert ids_of(admin_client.get(JOBS, {"q": key})) == {wanted.pk}


def test_the_name_of_a_record_finds_its_jobs(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    lisbon = make_settlement(description="Dinner in Lisbon")
    make_settlement(description="Rent for May")
    wanted = set(Job.objects.about(lisbon).values_list("pk", flat=True))
    assert wanted
    assert ids_of(admin_client.get(JOBS, {"q": "lisbon"})) == wanted


def test_the_name_of_a_record_finds_nothing_for_who_may_not_see_records(settlement: Settlement) -> None:
    client = operator("view_job")
    assert ids_of(client.get(JOBS, {"q": "Lisbon"})) == set()


def test_part_of_a_processors_name_finds_its_jobs(admin_client: Client) -> None:
    wanted = make_job(processor="sample.skip")
    make_job()
    assert ids_of(admin_client.get(JOBS, {"q": "SKIP"})) == {wanted.pk}


def test_the_name_of_a_processor_that_is_not_registered_any_more_finds_its_jobs(admin_client: Client) -> None:
    wanted = make_job(processor="removed.long.ago")
    make_job()
    assert ids_of(admin_client.get(JOBS, {"q": "removed.long.ago"})) == {wanted.pk}


@pytest.mark.parametrize("text", ["9" * 40, "%", "'; drop table", "a:b:c", "settlements.settlement:"])
def test_a_strange_search_finds_nothing_and_does_no_harm(admin_client: Client, text: str) -> None:
    make_job()
    assert ids_of(admin_client.get(JOBS, {"q": text})) == set()


def test_a_search_for_what_no_database_stores_does_no_harm(admin_client: Client) -> None:
    assert admin_client.get(JOBS, {"q": "\x00"}).status_code == 200


def test_what_is_in_a_payload_cannot_be_searched(admin_client: Client) -> None:
    make_job(payload={"email": "anna@example.com"})
    assert ids_of(admin_client.get(JOBS, {"q": "anna@example.com"})) == set()
