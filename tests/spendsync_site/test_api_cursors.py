"""Cursors are texts that anybody may write: hostile values inside of well-formed ones break no list."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from jobqueue.api.paging import write_cursor
from tests.jobqueue.api.steps import get, problem
from tests.spendsync_site.api_rows import NOBODY

pytestmark = pytest.mark.django_db(databases=["default", "other"])

_MOMENT = "2030-01-31T08:00:00+00:00"
KEYS: dict[str, list[Any]] = {
    "jobs/": [5],
    "schedule/": [_MOMENT, 5],
    "bulk/": [5],
    "workers/": ["web-1", NOBODY],
    "audit/": [5],
    "settlements/": [_MOMENT, NOBODY],
    "payments/": [_MOMENT, NOBODY],
    "emails/": [5],
    "simulation/": [f"{NOBODY}:1"],
}
"""A key of a page of each list that has cursors."""
HOSTILE: tuple[Any, ...] = (
    *("\x00", "\ud800", "\u202e", "", " "),
    *(f"{NOBODY}:{payer}" for payer in ("\x00", "\ud800", 2**64)),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2030-01-31T08:00:00"),
    *(2**63, -(2**64), 0, 1.5, float("nan"), float("inf"), None, True, [], {}, [["\x00"]]),
)  # fmt: skip


def _spoilt(key: list[Any]) -> list[list[Any]]:
    """The key with each hostile value in each of its places."""
    return [[*key[:place], value, *key[place + 1 :]] for place in range(len(key)) for value in HOSTILE]


def test_every_list_with_cursors_is_tried() -> None:
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    asked = {
        path: [one["name"] for one in known.get("get", {}).get("parameters", ())]
        for path, known in paths.items()
    }

    assert set(KEYS) == {path.removeprefix("/api/") for path, names in asked.items() if "cursor" in names}


@pytest.mark.parametrize("path", KEYS)
def test_a_key_as_the_list_has_it_is_a_cursor(path: str, admin_client: Client) -> None:
    get(admin_client, f"{path}?cursor={write_cursor(KEYS[path])}")


@pytest.mark.parametrize("path", KEYS)
def test_hostile_values_in_a_cursor_are_refused_or_harmless(path: str, admin_client: Client) -> None:
    for key in _spoilt(KEYS[path]):
        answer = admin_client.get(f"/api/{path}", {"cursor": write_cursor(key)})
        if answer.status_code != 200:
            assert problem(answer, 400)["errors"][0]["code"] == "invalid_cursor", key


@pytest.mark.parametrize("name", ["\x00", "\ud800"], ids=ascii)
def test_a_name_that_no_database_takes_is_no_cursor_of_workers(name: str, admin_client: Client) -> None:
    problem(admin_client.get("/api/workers/", {"cursor": write_cursor([name, NOBODY])}), 400)
