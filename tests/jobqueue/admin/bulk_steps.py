"""Bulk actions, by clicks."""

from __future__ import annotations

import re
from typing import Any

from django.test import Client

BULK = "/admin/jobqueue/bulkaction/"


SMTP = "EmailNotSent: SMTPRecipientsRefused 550"


def forms_on(text: str) -> list[dict[str, str]]:
    """The fields of each form of the page that begins an action."""
    forms = re.findall(rf'<form method="post" action="{BULK}start/">(.*?)</form>', text, re.DOTALL)
    return [dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form)) for form in forms]


def start(client: Client, **fields: Any) -> list[str]:
    response = client.post(f"{BULK}start/", {"verb": "retry", "confirmed": "retry", **fields}, follow=True)
    assert response.status_code == 200
    return [str(message) for message in response.context["messages"]]
