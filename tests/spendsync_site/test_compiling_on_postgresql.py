"""How PostgreSQL runs the site's statements. Collected on PostgreSQL only (conftest.py)."""

from __future__ import annotations

import pytest
from django.db import connection


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "value"), [("jit", "off"), ("max_parallel_workers_per_gather", "0")])
def test_a_connection_of_the_site_says_how_its_statements_run(name: str, value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {name}")
        assert cursor.fetchone() == (value,)
