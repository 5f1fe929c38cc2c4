"""Runs the Lua scripts of `lua/`, each one step that no other client sees half done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha1
from importlib import resources
from typing import Any

from redis import Redis
from redis.exceptions import NoScriptError, ResponseError
from rq.defaults import RQ_KEY_PREFIX


def run(client: Redis, name: str, *arguments: Any) -> Any:
    """Run a script, with the client's tries, on a connection of its pool.

    The client's own way there takes 0.06 ms longer from an idle start, and a lone job waits for two scripts.
    """
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        return connection.retry.call_with_retry(
            lambda: _ask(connection, name, arguments), lambda _error: connection.disconnect()
        )
    except ResponseError:
        raise
    except BaseException:
        # Whoever gets it next must not read this answer.
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _ask(connection: Any, name: str, arguments: Sequence[Any]) -> Any:
    command = ("EVALSHA", _sha(name), 0, RQ_KEY_PREFIX, *arguments)
    connection.send_command(*command)
    try:
        return connection.read_response()
    except NoScriptError:
        connection.send_command("SCRIPT", "LOAD", _script(name))
        connection.read_response()
    connection.send_command(*command)
    return connection.read_response()


@lru_cache(maxsize=16)
def _script(name: str) -> str:
    return resources.files("jobqueue.broker").joinpath("lua", f"{name}.lua").read_text()


@lru_cache(maxsize=16)
def _sha(name: str) -> str:
    return sha1(_script(name).encode(), usedforsecurity=False).hexdigest()


def rq_now() -> str:
    """Now as RQ writes it; its own function takes 0.02 ms longer from an idle start."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
