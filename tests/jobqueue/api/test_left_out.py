"""`/api/bulk/` says which jobs an action left out and why, and why it was stopped."""

from __future__ import annotations

import pytest
from django.test import Client

from jobqueue.models import BulkAction, Job
from tests.jobqueue.admin.steps import make_job, text_of
from tests.jobqueue.api.steps import full_operator, get, post, viewer
from tests.jobqueue.models.test_bulk import walk

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def test_what_was_changed_meanwhile_is_told_with_its_number() -> None:
    jobs = [make_job("failed", cause="OSError 5") for _ in range(3)]
    client = full_operator()
    begun = post(client, "bulk/", {"verb": "retry", "cause": "OSError 5"})
    assert begun["left_out"] == []
    Job.objects.get(pk=jobs[0].pk).retry()

    walk(BulkAction.objects.get())

    [reason] = get(client, f"bulk/{begun['id']}/")["left_out"]
    assert (reason["code"], reason["number"]) == ("changed", 1)
    assert reason["text"].startswith("1 job was changed by somebody else")


def test_the_first_ids_are_named_in_the_list_too() -> None:
    make_job("failed", cause="OSError 5")
    client = full_operator()
    begun = post(client, "bulk/", {"verb": "retry", "cause": "OSError 5"})
    BulkAction.objects.filter(pk=begun["id"]).update(
        left_out={"refused": {"number": 300, "ids": list(range(1, 301))}}
    )

    [line] = get(client, "bulk/")["results"]

    assert line["left_out"][0]["ids"] == list(range(1, 101))
    assert line["left_out"][0]["text"] == "300 jobs were left out: the database refuses to change them."


def test_it_says_why_it_was_stopped_with_addresses_masked(admin_client: Client) -> None:
    make_job("failed", cause="OSError 5")
    client = full_operator()
    begun = post(client, "bulk/", {"verb": "retry", "cause": "OSError 5"})
    post(client, f"bulk/{begun['id']}/stop/", {"reason": "anna@example.com called"})

    told = get(viewer(), f"bulk/{begun['id']}/")["stop_reason"]

    assert told.endswith(" called") and "anna@" not in told
    page = text_of(admin_client.get(f"/admin/jobqueue/bulkaction/{begun['id']}/change/"))
    assert "Why it was stopped: anna@example.com called" in page
