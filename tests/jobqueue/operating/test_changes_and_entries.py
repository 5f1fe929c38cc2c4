"""What an operator changes and the entry that says so are one: without the entry nothing is changed."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from jobqueue.models import BulkAction, Cause, Job, Queue
from jobqueue.models.pauses import pause
from jobqueue.operating import audit
from tests.jobqueue.admin.bulk_steps import BULK
from tests.jobqueue.admin.steps import CAUSES, QUEUES, make_job
from tests.jobqueue.api.steps import ask as ask_api
from tests.jobqueue.api.steps import full_operator
from tests.jobqueue.models.test_bulk import ask

pytestmark = pytest.mark.django_db(databases=["default", "other"])
API = "(API)"
ASIDE = "/admin/jobqueue/setasidejob/"


def _rows() -> list[Any]:
    return [
        list(Queue.objects.order_by("pk").values_list("name", "paused")),
        list(Cause.objects.order_by("pk").values_list("name", "muted_at")),
        list(BulkAction.objects.values_list("pk", "ended_at")),
        list(Job.objects.order_by("pk").values_list("pk", "state", "set_aside")),
    ]


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        (f"{QUEUES}pause/", {"queue": "email"}),
        (f"{QUEUES}resume/", {"queue": "reminders"}),
        (CAUSES, {"action": "mute", "cause": "OSError"}),
        (f"{BULK}%d/stop/", {}),
        (ASIDE, {"chosen": "job:default:1"}),
        (API, {}),
    ],
)
def test_what_cannot_be_written_down_is_not_done(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, url: str, fields: dict[str, str]
) -> None:
    Queue.objects.get_or_create(name="email")
    pause("reminders")
    action = ask()
    make_job("failed", pk=1, set_aside="the payload is no JSON")
    before = _rows()

    def break_down(entries: object) -> None:
        raise RuntimeError("the process ends here")

    monkeypatch.setattr(audit, "_write", break_down)
    with pytest.raises(RuntimeError, match="ends here"):
        if url == API:
            ask_api(full_operator(), "POST", f"bulk/{action.pk}/stop/")
        else:
            admin_client.post(url % action.pk if "%" in url else url, fields)
    assert _rows() == before
