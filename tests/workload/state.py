"""Processors that leave a state behind, and one that tells what state it finds."""

from __future__ import annotations

import decimal
import logging
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from decimal import Decimal
from typing import Any

from django.core.cache import caches
from django.db import connection, transaction
from django.utils import timezone, translation
from djmoney.money import Money

from jobqueue.jobs import RetryPolicy, processor
from tests.workload.processors import _have_effect, _note_start

_tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


class _Tenant(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.tenant = _tenant.get()
        return True


def _logged() -> str:
    record = logging.LogRecord("x", logging.INFO, "x", 1, "x", None, None)
    _Tenant().filter(record)
    return str(record.tenant)  # type: ignore[attr-defined]


def _query(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone() if cursor.description else None


def _is_postgresql() -> bool:
    return connection.vendor == "postgresql"


def _leave_decimals() -> None:
    decimal.getcontext().prec = 3


def _alter_session() -> None:
    _query("SET TIME ZONE 'Asia/Tokyo'" if _is_postgresql() else "PRAGMA case_sensitive_like = ON")


def _session() -> Any:
    return _query("SHOW TIME ZONE" if _is_postgresql() else "SELECT 'A' LIKE 'a'")


def _lock_session() -> None:
    _query("SELECT pg_advisory_lock(4711)" if _is_postgresql() else "PRAGMA case_sensitive_like = ON")


def _locks() -> Any:
    sql = (
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
        "WHERE locktype = 'advisory' AND objid = 4711 AND datname = current_database()"
    )
    return _query(sql if _is_postgresql() else "SELECT 'A' LIKE 'a'")


def _leave_wrapper() -> None:
    _query("SELECT 1")
    connection.execute_wrappers.append(lambda execute, *arguments: execute(*arguments))


def _log_queries() -> None:
    _query("SELECT 1")
    connection.force_debug_cursor = True


_STATES: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "language": (lambda: translation.activate("de"), lambda: translation.get_language()),
    "time zone": (lambda: timezone.activate("Asia/Tokyo"), lambda: timezone.get_current_timezone_name()),
    "context variable": (lambda: _tenant.set("somebody"), lambda: _tenant.get()),
    "logging context": (lambda: _tenant.set("somebody"), _logged),
    "decimals": (_leave_decimals, lambda: Decimal(1) / Decimal(3)),
    "locale of money": (lambda: translation.activate("de"), lambda: str(Money("1234.5", "EUR"))),
    "queries": (lambda: _query("SELECT 'secret'"), lambda: len(connection.queries)),
    "session": (_alter_session, _session),
    "lock": (_lock_session, _locks),
    "wrappers": (_leave_wrapper, lambda: len(connection.execute_wrappers)),
    "log of queries": (_log_queries, lambda: connection.force_debug_cursor),
}
STATES = tuple(_STATES)


@processor("workload.leave_state", queue="settlement")
def leave_state(name: str, state: str) -> None:
    """Changes the state of its thread."""
    _note_start(name)
    _STATES[state][0]()


@processor("workload.tell_state", queue="settlement")
def tell_state(name: str, state: str) -> None:
    """Tells the state of its thread as it finds it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _have_effect(f"{name}: {_STATES[state][1]()}")


@processor("workload.leave_transaction", queue="settlement", retry=RetryPolicy(max_retries=0))
def leave_transaction(name: str, how: str) -> None:
    """Writes a row in a transaction that it does not end."""
    from django.contrib.auth.models import Group

    _note_start(name)
    if how == "atomic":
        transaction.atomic().__enter__()
    elif how == "no autocommit":
        transaction.set_autocommit(False)
    else:
        _query("BEGIN")
    Group.objects.create(name=name)


@processor("workload.tell_cache", queue="settlement")
def tell_cache(name: str) -> None:
    """Tells which client of the cache it was given."""
    _have_effect(f"{name}: {id(caches['default'])}")
