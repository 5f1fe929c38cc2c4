"""Whether a Redis server answers, takes messages, and keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from jobqueue.broker.answers import text_of
from jobqueue.broker.connections import as_unavailable, clients
from jobqueue.broker.own import address_of
from jobqueue.broker.refusals import NO_CLUSTER, drop_idle_connections
from jobqueue.exceptions import BrokerUnavailable

# Bytes that a batch of messages may take: with less, Redis counts as full.
_ROOM_FOR_MESSAGES = 64 * 1024
# A Redis that evicts keys stays close below its limit: it counts as full in the last twentieth.
_NEARLY_FULL = 20


def ping(purpose: str = "probe") -> None:
    """Return when every Redis server answers; BrokerUnavailable when one does not."""
    with as_unavailable():
        for client in clients(purpose):
            client.ping()


def check_writable(purpose: str = "probe") -> None:
    """Return when every Redis server takes messages and keeps them; BrokerUnavailable with the reason if not.

    Redis is only asked about itself, nothing is written. A server that does not tell passes.
    """
    with as_unavailable():
        for client in clients(purpose):
            trouble = _trouble(client, _info(client))
            if trouble:
                drop_idle_connections(client)
                raise BrokerUnavailable(trouble)


def addresses(purpose: str = "work") -> list[str]:
    """Where the Redis servers in use are, each with its database's number; no user and no password."""
    return list(dict.fromkeys(address_of(client) for client in clients(purpose)))


def is_in_a_cluster(client: Redis) -> bool:
    """Whether this server is a node of a cluster; not if it does not tell."""
    try:
        return bool(client.info("cluster").get("cluster_enabled"))
    except ResponseError:
        return False


def eviction_policies(purpose: str = "probe") -> set[str]:
    """The `maxmemory-policy` of the Redis servers in use, as far as they tell."""
    with as_unavailable():
        return {str(_info(client).get("maxmemory_policy", "")) for client in clients(purpose)} - {""}


def _info(client: Redis) -> dict[str, Any]:
    """What a server says about its memory, replication, disk and cluster; nothing if it does not tell."""
    with client.pipeline(transaction=False) as pipeline:
        for section in ("memory", "replication", "persistence", "cluster"):
            pipeline.info(section)
        answers = pipeline.execute(raise_on_error=False)
    return {name: value for answer in answers if isinstance(answer, dict) for name, value in answer.items()}


def _trouble(client: Redis, info: Mapping[str, Any]) -> str:
    """Why this server refuses messages, or throws them away; empty if it does not."""
    if info.get("cluster_enabled"):
        return NO_CLUSTER
    if info.get("role") == "slave" and info.get("slave_read_only"):
        return "Redis is a read-only replica"
    if info.get("aof_enabled") and info.get("aof_last_write_status") == "err":
        return "Redis cannot write its append-only file and refuses writes"
    return _memory_trouble(info) or _configured_trouble(client, info)


def _memory_trouble(info: Mapping[str, Any]) -> str:
    limit, policy = int(info.get("maxmemory", 0)), str(info.get("maxmemory_policy", ""))
    room = limit - int(info.get("used_memory", 0)) + int(info.get("mem_not_counted_for_evict", 0))
    if limit and policy.startswith("allkeys-") and room < limit / _NEARLY_FULL:
        return f"Redis is full and evicts messages: its maxmemory-policy is {policy}"
    return "Redis is full and refuses writes" if limit and room < _ROOM_FOR_MESSAGES else ""


def _configured_trouble(client: Redis, info: Mapping[str, Any]) -> str:
    """What may be trouble or not, by the server's configuration, which is asked for only if need be."""
    failed_to_save = info.get("rdb_last_bgsave_status") == "err"
    if failed_to_save and _config(client, "save") and _config(client, "stop-writes-on-bgsave-error") == "yes":
        return "Redis cannot save its data to disk and refuses writes"
    if "min_slaves_good_slaves" in info:
        wanted = _config(client, "min-replicas-to-write")
        if wanted.isdigit() and int(info["min_slaves_good_slaves"]) < int(wanted):
            return "Redis has too few replicas and refuses writes"
    return ""


def _config(client: Redis, name: str) -> str:
    """A setting of a server; empty if it does not tell."""
    try:
        answer = client.config_get(name)
    except ResponseError:
        return ""
    return "".join(text_of(value or "") for key, value in answer.items() if text_of(key or "") == name)
