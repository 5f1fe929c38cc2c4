"""Answers by which a Redis says "not here" or "not now": whoever gets one connects anew.

Behind an address there may be another server than when a connection was made: one that was demoted goes on
answering on it, and refuses every write for ever. So such an answer drops the connection that it came by, and
those that lie idle beside it; the next one is resolved and authenticated anew.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

_WRONG_SERVER = frozenset({"READONLY", "MASTERDOWN", "UNBLOCKED"})
_CLUSTER = frozenset({"MOVED", "ASK", "CLUSTERDOWN", "TRYAGAIN", "CROSSSLOT"})
_NOT_NOW = frozenset({"LOADING", "MISCONF", "OOM", "NOREPLICAS", "BUSY", "UNKILLABLE"})
_NOT_ADMITTED = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})
_REFUSALS = _WRONG_SERVER | _CLUSTER | _NOT_NOW | _NOT_ADMITTED
# What an ACL refuses to a script: commands ("… run this command"), or keys ("… access at least one …").
_NOT_ALLOWED = "The user executing the script can't"
# What a node of a cluster refuses to a script, and to whoever wants another database than the first.
_OF_A_CLUSTER = re.compile(r"in a cluster node|while the cluster is down|not allowed in cluster mode")
NO_CLUSTER = (
    "This Redis is a node of a cluster, which the job queue cannot use: what it changes in one step lies on "
    "several nodes there. Name a single server, or one behind Sentinel, in RQ_QUEUES (HOST, URL or SENTINELS)"
)
# Refusals that have no code of their own.
_WITHOUT_CODE = ("max number of clients reached",)
# Where the code stands within a text: before Redis 7 behind the script's name, for a transaction behind this.
_CODE_WITHIN = re.compile(r"(?:@user_script: ?\d+: -?|because of: -?)([A-Z]+)\b")

_Client = TypeVar("_Client", bound=Redis)


def is_refusal(error: RedisError) -> bool:
    """Whether this answer is about the server and not about what it was asked."""
    if _code_of(error) in _REFUSALS or _is_not_admitted(error) or _is_of_a_cluster(error):
        return True
    return str(error).startswith(_WITHOUT_CODE)


def what_helps(error: Exception) -> str:
    """What somebody has to do before Redis serves this process again; empty if time alone may help."""
    if _is_not_admitted(error):
        return (
            "; PASSWORD and USERNAME in RQ_QUEUES (from REDIS_PASSWORD or REDIS_URL, say) are not those that "
            "Redis has now, or may not do this: change them and restart, or let Redis take them"
        )
    return f"; {NO_CLUSTER}" if _is_of_a_cluster(error) else ""


def _is_not_admitted(error: Exception) -> bool:
    """Whether the user is none, or may not do this; Redis 6 writes a script's name before its answer."""
    is_told = _code_of(error) in _NOT_ADMITTED or _NOT_ALLOWED in str(error)
    return is_told or isinstance(error, AuthenticationError)


def _is_of_a_cluster(error: Exception) -> bool:
    return _code_of(error) in _CLUSTER or _OF_A_CLUSTER.search(str(error)) is not None


def _code_of(error: Exception) -> str:
    """The word that begins an answer of Redis, which redis-py takes off the texts of those that it knows."""
    code = getattr(error, "status_code", None)
    if code and code not in ("ERR", "EXECABORT"):
        return str(code)
    text = str(error)
    within = _CODE_WITHIN.search(text)
    return within[1] if within else text.partition(" ")[0]


def connect_anew_when_refused(client: _Client) -> _Client:
    """Have the connections that this client makes from now on follow the rule; it shares them with nobody."""
    pool = client.connection_pool
    if not issubclass(pool.connection_class, _ConnectsAnew):
        kind = pool.connection_class
        pool.connection_class = type(f"Renewed{kind.__name__}", (_ConnectsAnew, kind), {"_pool": pool})
    return client


def drop_idle_connections(client: Redis) -> None:
    """The next call connects anew: the server there is, as its own words say, not the one to talk to."""
    client.connection_pool.disconnect(inuse_connections=False)


class _ConnectsAnew:
    """Mixed into the connection class of a pool."""

    _pool: Any
    _is_greeting = False

    def on_connect_check_health(self, *args: Any, **options: Any) -> None:
        # What the server does not let this user tell of itself is left out: redis-py sees to that.
        self._is_greeting = True
        try:
            super().on_connect_check_health(*args, **options)  # type: ignore[misc]
        finally:
            self._is_greeting = False

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except RedisError as error:
            if not self._is_greeting and is_refusal(error):
                # Not at once: more answers may be on their way by this one. Whoever releases it drops it.
                self.mark_for_reconnect()  # type: ignore[attr-defined]
                self._pool.disconnect(inuse_connections=False)
            raise
