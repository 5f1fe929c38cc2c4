"""Names of workers, as pages show them."""

from __future__ import annotations

import pytest
from django.test import Client

from jobqueue.admin.words import worker_word
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import make_worker, text_of

MADE_UP = "e49ecc186cdd46a4874f3a985451e1f1"


@pytest.mark.parametrize(
    ("name", "shown"),
    [(MADE_UP, "e49ecc18"), (f"{MADE_UP}.2", "e49ecc18.2"), ("web-1.2", "web-1.2"), ("e" * 33, "e" * 33)],
)
def test_of_a_name_that_was_made_up_eight_digits_are_shown(name: str, shown: str) -> None:
    assert worker_word(name) == f'<span title="{name}">{shown}</span>'


def test_a_name_is_escaped() -> None:
    assert "<b>" not in worker_word("<b>")


@pytest.mark.django_db(databases=["default", "other"])
@pytest.mark.parametrize("page", ["/admin/jobqueue/worker/", "/admin/jobqueue/job/running/"])
def test_the_pages_of_workers_show_it_so(admin_client: Client, page: str) -> None:
    make_worker(name=f"{MADE_UP}.1")
    assert ">e49ecc18.1</span>" in text_of(admin_client.get(page))


@pytest.mark.django_db(databases=["default", "other"])
def test_the_list_says_which_worker_is_quiet(admin_client: Client) -> None:
    make_worker(quiet_asked_at=database_now("default"))
    assert ">quiet</span>" in text_of(admin_client.get("/admin/jobqueue/worker/"))
