"""The title of a page says where one is, also of one that only asks."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.jobqueue.admin.steps import JOBS, make_job

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def test_a_question_before_an_action_names_the_action(admin_client: Client) -> None:
    job = make_job("failed")
    asked = admin_client.post(JOBS, {"action": "retry", "_selected_action": [str(job.pk)]})
    assert asked.context["title"] == "Retry: are you sure?"


def test_a_list_of_settlements_is_called_what_it_lists(admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:settlements_settlement_changelist"))
    assert page.context["title"] == "Settlements"
