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
    monkeypatch.setattr(connecting, "_knows", lambda _using, _option: True)
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


# A host that vanishes -----------------------------------------------------------------------------

NOTICED = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 25000}


def test_a_host_that_vanishes_is_noticed_also_with_one_database(
    options: dict[str, dict[str, Any]], settings: LazySettings
) -> None:
    settings.JOBQUEUE = {"DATABASES": ["default"]}
    options["default"]["OPTIONS"] = {"sslmode": "require"}
    connecting.notice_vanished_hosts_in_this_process()

    assert options["default"]["OPTIONS"] == {"sslmode": "require", **NOTICED}
    assert options["other"]["OPTIONS"] == {}


@pytest.mark.parametrize(
    "given",
    [{"keepalives": 0}, {"keepalives_idle": 300}, {"tcp_user_timeout": 0}, {"service": "site"}],
    ids=str,
)
def test_who_says_anything_of_it_has_it_as_he_says(
    options: dict[str, dict[str, Any]], given: dict[str, Any]
) -> None:
    options["other"]["OPTIONS"] = given
    connecting.notice_vanished_hosts_in_this_process()

    assert options["other"]["OPTIONS"] == given
    assert options["default"]["OPTIONS"] == NOTICED


def test_a_service_of_the_environment_has_it_as_it_says(
    options: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSERVICE", "site")
    connecting.notice_vanished_hosts_in_this_process()

    assert options["other"]["OPTIONS"] == {}
