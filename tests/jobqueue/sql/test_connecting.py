"""How long a worker waits for a connection, where a project with several databases does not say."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connections

from jobqueue.sql import connecting


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """The OPTIONS of two databases on PostgreSQL, as a project may have them."""
    found = {using: {**connections.settings[using], "OPTIONS": {}} for using in ("default", "other")}
    monkeypatch.setattr(connecting, "vendor_of", lambda _using: "postgresql")
    monkeypatch.setattr(connections, "settings", {**connections.settings, **found})
    for name in ("PGCONNECT_TIMEOUT", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    return found


def test_a_connection_is_waited_for_some_seconds(options: dict[str, dict[str, Any]]) -> None:
    connecting.limit_connecting_in_this_process()

    assert options["other"]["OPTIONS"] == options["default"]["OPTIONS"] == {"connect_timeout": 5}


def test_what_the_project_says_stays(options: dict[str, dict[str, Any]]) -> None:
    options["other"]["OPTIONS"] = {"connect_timeout": 60}
    options["default"]["OPTIONS"] = {"service": "site"}

    connecting.limit_connecting_in_this_process()

    assert options["default"]["OPTIONS"] == {"service": "site"}
    assert options["other"]["OPTIONS"] == {"connect_timeout": 60}


def test_what_the_environment_says_stays(
    options: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "30")
    connecting.limit_connecting_in_this_process()

    assert options["other"]["OPTIONS"] == {}


def test_with_one_database_the_driver_waits_as_it_likes(
    options: dict[str, dict[str, Any]], settings: LazySettings
) -> None:
    settings.JOBQUEUE = {"DATABASES": ["default"]}
    connecting.limit_connecting_in_this_process()

    assert options["default"]["OPTIONS"] == {}
