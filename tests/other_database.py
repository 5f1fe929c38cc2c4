"""Chooses the tests that another database can make a difference to: `pytest --other-database`, as CI does.

Whoever ran all tests on SQLite has seen those already that never use a database of the kind to be tested on.
A test is in if it asks for one, itself or by a fixture, and if its file is about PostgreSQL.

Loaded with `-p tests.other_database` (pyproject.toml).
"""

from __future__ import annotations

import pytest

# Who uses the database of the tests, or another one of its kind, asks for one of these.
FIXTURES = frozenset(
    {"db", "transactional_db", "django_db_setup", "live_server", "new_database", "new_postgresql"}
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--other-database` chooses."""
    text = "leave out what is the same on every database"
    parser.getgroup("spendsync").addoption("--other-database", action="store_true", help=text)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is the same on every database."""
    if not config.getoption("other_database"):
        return
    left_out = [item for item in items if not depends_on_the_database(item)]
    items[:] = [item for item in items if depends_on_the_database(item)]
    config.hook.pytest_deselected(items=left_out)


def depends_on_the_database(item: pytest.Item) -> bool:
    """Whether another database could make a difference to this test."""
    if "postgresql" in item.nodeid.partition("::")[0]:
        return True
    asks = item.get_closest_marker("django_db") is not None
    return asks or not FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
