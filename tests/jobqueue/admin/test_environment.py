"""The name of the environment stands at the head of every page, so that nobody takes one site for another."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse

from tests.jobqueue.admin.every_page import STATUSES
from tests.jobqueue.admin.steps import text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
OVERVIEW = "/admin/jobqueue/"


def test_where_this_is_stands_on_every_page(admin_client: Client, settings: LazySettings) -> None:
    assert "jq-environment" not in text_of(admin_client.get("/admin/auth/user/"))
    settings.JOBQUEUE = {"ENVIRONMENT": "production <1>"}
    for client, page in (
        (admin_client, OVERVIEW),
        (admin_client, "/admin/"),
        (admin_client, "/admin/auth/user/"),
        (Client(), "/admin/login/"),
    ):
        assert "production &lt;1&gt;</span>" in text_of(client.get(page)), page


def test_where_this_is_stands_above_every_list(admin_client: Client, settings: LazySettings) -> None:
    settings.JOBQUEUE = {"ENVIRONMENT": "production"}
    for name in STATUSES:
        if name.endswith("_changelist"):
            page = admin_client.get(reverse(f"admin:{name}"), follow=True).content.decode()
            assert "production</span>" in page, name
