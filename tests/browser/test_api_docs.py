"""The pages of the schema in a real browser: nothing from elsewhere, nothing that the policy refuses."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_api_is_read_and_tried_on_its_pages(
    open_page: Any,
    width: int,
) -> None:
    page = open_page("/admin/", width=width)
    page.goto(page.url.partition("/admin/")[0] + "/api/docs/")
    operation = page.locator("#operations-queues-queues_list")
    operation.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()

    expect(operation.locator(".live-responses-table")).to_contain_text('"settlement"')
