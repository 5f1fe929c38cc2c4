"""What a job led to, told by any app: here by a third one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.http import HttpRequest
from django.test import Client

from jobqueue.admin import Result, results, tells_results
from jobqueue.models import Job
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import make_job, operator, page_of, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third app's invoices."""
    monkeypatch.setattr(results, "_tellers", {})

    @tells_results("shop.invoice")
    def of_invoice(job: Job, request: HttpRequest) -> Iterator[Result]:
        if job.payload.get("broken") == "sql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT nothing FROM nowhere")
        if job.payload.get("broken"):
            raise KeyError("pia@example.com")
        amount = " of 84.50 EUR" if request.user.has_perm("jobqueue.view_payload") else ""
        now = database_now("default")
        yield Result(f"Invoice <7>{amount}", "sent", "on its way", "/shop/invoice/7/", now, "by post")
        yield Result("A parcel")


def test_another_apps_results_are_shown_with_their_state_and_page(admin_client: Client, shop: None) -> None:
    text = text_of(admin_client.get(page_of(make_job("completed", processor="shop.invoice"))))
    assert '<a href="/shop/invoice/7/">Invoice &lt;7&gt; of 84.50 EUR</a>' in text
    assert '<span class="jq-badge jq-sent">on its way</span>' in text
    assert "<span>A parcel</span>" in text and "by post" in text


def test_an_app_tells_what_this_user_may_know(shop: None) -> None:
    text = text_of(operator("view_job").get(page_of(make_job("completed", processor="shop.invoice"))))
    assert "Invoice &lt;7&gt;" in text and "84.50" not in text


@pytest.mark.parametrize("how", ["sql", "key"])
def test_an_app_that_fails_takes_no_page_down(admin_client: Client, shop: None, how: str) -> None:
    job = make_job("completed", processor="shop.invoice", payload={"broken": how})
    text = text_of(admin_client.get(page_of(job)))
    assert "What it led to" not in text and "pia@example.com" not in text.partition("jq-payload")[0]


@pytest.mark.parametrize("state", ["waiting", "delayed", "cancelled"])
def test_a_job_that_never_ran_led_to_nothing(admin_client: Client, shop: None, state: str) -> None:
    job = make_job(state, processor="shop.invoice")
    assert "What it led to" not in text_of(admin_client.get(page_of(job)))


def test_a_job_of_which_nobody_tells_shows_nothing(admin_client: Client, shop: None) -> None:
    assert "What it led to" not in text_of(admin_client.get(page_of(make_job("completed"))))
