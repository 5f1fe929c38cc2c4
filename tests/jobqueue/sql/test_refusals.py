"""Which answers of a database no waiting mends."""

from __future__ import annotations

import pytest
from django.db import OperationalError

from jobqueue.sql.refusals import setting_that_helps

_AT = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: '


@pytest.mark.parametrize(
    ("answer", "setting"),
    [
        ('FATAL:  password authentication failed for user "shop"', "USER and PASSWORD"),
        ("fe_sendauth: no password supplied", "USER and PASSWORD"),
        ('FATAL:  database "shop" does not exist', "NAME"),
        ('FATAL:  role "shop" does not exist', "USER"),
        ('FATAL:  permission denied for database "shop"', "USER"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.7", user "shop"', "HOST, USER and OPTIONS"),
        ("server does not support SSL, but SSL was required", "OPTIONS"),
        ('root certificate file "/etc/ca.pem" does not exist', "OPTIONS"),
        ('invalid port number: "54x"', "PORT and OPTIONS"),
        ('invalid integer value "soon" for connection option "connect_timeout"', "PORT and OPTIONS"),
    ],
)
def test_a_refusal_for_good_names_the_setting(answer: str, setting: str) -> None:
    assert setting_that_helps(OperationalError(_AT + answer)) == setting


@pytest.mark.parametrize(
    "answer",
    [
        "Connection refused",
        "FATAL:  the database system is starting up",
        "FATAL:  the database system is shutting down",
        "FATAL:  sorry, too many clients already",
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        "timeout expired",
        'could not translate host name "db" to address: Name or service not known',
        "server closed the connection unexpectedly",
    ],
)
def test_what_may_be_over_in_a_moment_is_waited_for(answer: str) -> None:
    assert setting_that_helps(OperationalError(_AT + answer)) == ""
