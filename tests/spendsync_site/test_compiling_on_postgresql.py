"""PostgreSQL compiles none of the site's statements. Collected on PostgreSQL only (conftest.py)."""

from __future__ import annotations

import pytest
from django.db import connection


@pytest.mark.django_db
def test_a_connection_of_the_site_has_nothing_compiled() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW jit")
        assert cursor.fetchone() == ("off",)
