"""What stands in place of an address is in the language of who looks, and in English where it is kept."""

from __future__ import annotations

import pytest
from django.test import Client

from jobqueue import masking
from tests.jobqueue.admin.steps import make_job, operator

GERMAN = {"HTTP_ACCEPT_LANGUAGE": "de"}
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("headers", "mask"), [({}, "(address)"), (GERMAN, "(Adresse)")])
def test_a_page_says_in_its_language_that_an_address_is_left_out(headers: dict[str, str], mask: str) -> None:
    make_job("failed", reason="ValueError: pia@example.com is unknown")
    page = operator("view_job").get("/admin/jobqueue/job/", **headers).content.decode()
    assert f"{mask} is unknown" in page and "pia@" not in page


@pytest.mark.parametrize(("headers", "mask"), [({}, "p… at example.com"), (GERMAN, "p… bei example.com")])
def test_a_page_says_in_its_language_whose_address_it_is(
    admin_client: Client, headers: dict[str, str], mask: str
) -> None:
    from settlements.models import EmailDelivery

    EmailDelivery.objects.create(message_id="<one@x>", recipient="pia@example.com")
    assert mask in admin_client.get("/admin/settlements/emaildelivery/", **headers).content.decode()


def test_a_program_is_told_in_english() -> None:
    job = make_job("failed", reason="ValueError: pia@example.com is unknown")
    answer = operator("view_job").get(f"/api/jobs/{job.pk}/", **GERMAN).json()
    assert "(address) is unknown" in answer["reason"]


def test_what_is_kept_is_english() -> None:
    assert masking.mask_addresses("to pia@example.com") == "to (address)"
