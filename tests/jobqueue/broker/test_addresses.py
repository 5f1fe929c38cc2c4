"""Where Redis is, as it may be shown."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from jobqueue.broker import server


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        (
            {"HOST": "redis.example", "PORT": 6380, "DB": 3, "PASSWORD": "secret"},
            "redis.example:6380 database 3",
        ),
        ({"URL": "redis://user:secret@redis.example:6380/2"}, "redis.example:6380 database 2"),
        (
            {"UNIX_SOCKET_PATH": "/run/redis.sock", "DB": 1, "PASSWORD": "secret"},
            "/run/redis.sock database 1",
        ),
    ],
)
def test_an_address_has_no_password(config: dict[str, object], shown: str, settings: LazySettings) -> None:
    settings.RQ_QUEUES = {"email": config, "reminders": config}

    assert server.addresses() == [shown]
