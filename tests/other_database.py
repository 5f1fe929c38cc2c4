"""Chooses which tests are run on each of two databases, as CI does.

`pytest --other-database` chooses the tests that another database can make a difference to.

Whoever ran all tests on SQLite has seen those already that never use a database of the kind to be tested on.
A test is in if it asks for one, itself or by a fixture, and if its file is about PostgreSQL. It is out again

- if it is marked `one_database`: Redis, or the process, is what fails there; or what pages say, on a walk
  over all of them (their statements are asked in `tests/jobqueue/admin/test_statements_of_every_page.py`);
- if it is one of many cases of the domain, of a page or of a message: they differ in values that meet the
  same statements. Where they meet different ones the test is marked `every_case`.

`pytest --before-other-database` leaves to such a run what starts workers and is in it, but for one test of
each file: they take longest, and what they are about is true where it is true on PostgreSQL.

Loaded with `-p tests.other_database` (pyproject.toml).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Set

import pytest

# Who uses the database of the tests, or another one of its kind, asks for one of these.
FIXTURES = frozenset(
    {"db", "transactional_db", "django_db_setup", "live_server", "new_database", "new_postgresql"}
)
SAMPLED = (
    *("tests/settlements/", "tests/spendsync_site/", "tests/jobqueue/test_arguments.py"),
    *(f"tests/jobqueue/{room}/" for room in ("admin", "api", "broker", "operating", "plain_rq")),
)
"""Where a test of many cases is run with one of them."""

WITH_WORKERS = ("tests/faults/", "tests/integration/")
"""Where tests start workers, and take long."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--other-database` and `--before-other-database` choose."""
    group = parser.getgroup("spendsync")
    group.addoption(
        "--other-database", action="store_true", help="leave out what is the same on every database"
    )
    group.addoption(
        "--before-other-database",
        action="store_true",
        help="leave out most of what starts workers and is run with --other-database",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is run elsewhere."""
    on_the_other = {item.nodeid for item in sample(filter(depends_on_the_database, items))}
    if config.getoption("other_database"):
        kept = on_the_other
    elif config.getoption("before_other_database"):
        kept = {item.nodeid for item in before(items, on_the_other)}
    else:
        return
    left_out = [item for item in items if item.nodeid not in kept]
    items[:] = [item for item in items if item.nodeid in kept]
    config.hook.pytest_deselected(items=left_out)


def depends_on_the_database(item: pytest.Item) -> bool:
    """Whether another database could make a difference to this test."""
    if "postgresql" in item.nodeid.partition("::")[0]:
        return True
    if item.get_closest_marker("one_database") is not None:
        return False
    asks = item.get_closest_marker("django_db") is not None
    return asks or not FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


def sample(items: Iterable[pytest.Item]) -> Iterable[pytest.Item]:
    """All of them, but of each test of many cases where these are SAMPLED only the middle one."""
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        is_sampled = item.nodeid.startswith(SAMPLED) and item.get_closest_marker("every_case") is None
        cases[item.nodeid.partition("[")[0] if is_sampled else item.nodeid].append(item)
    for alike in cases.values():
        alike.sort(key=lambda item: item.nodeid)  # the same one, in whatever order they are run
        yield alike[len(alike) // 2]


def before(items: Iterable[pytest.Item], on_the_other: Set[str]) -> Iterable[pytest.Item]:
    """All of them, but of those that start workers and will be run on the other database one of each file."""
    files: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.nodeid in on_the_other and item.nodeid.startswith(WITH_WORKERS):
            files[item.nodeid.partition("::")[0]].append(item)
        else:
            yield item
    for alike in files.values():
        alike.sort(key=lambda item: item.nodeid)
        yield alike[len(alike) // 2]
