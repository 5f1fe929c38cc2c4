"""A Redis that answers "not here" or "not now" is left: the next call connects anew."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from redis.exceptions import (
    AuthenticationError,
    ClusterCrossSlotError,
    NoPermissionError,
    OutOfMemoryError,
    ResponseError,
)

from jobqueue.broker import lead, queues, registries, server
from jobqueue.broker.bell import Bell
from jobqueue.broker.connections import as_unavailable, circuit, client_for
from jobqueue.broker.refusals import drop_idle_connections, is_refusal
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.worker.loops import WakePipe
from spendsync_site.demo.redis_server import RedisServer
from tests.conftest import wait_until
from tests.faults.proxy import Proxy
from tests.jobqueue.broker.steps import WORKER, claim, messages
from tests.jobqueue.steps import QUEUES


class Address:
    """An address that moves from one Redis to another, while connections to the first one stay."""

    def __init__(self, first: RedisServer, second: RedisServer) -> None:
        self.first, self.second = _client_of(first), _client_of(second)
        self.folder = first.directory
        self._second = second
        self._proxy = Proxy(first.host, first.port)
        self.port = self._proxy.port

    def move(self) -> None:
        self._proxy.move(self._second.host, self._second.port)

    def close(self) -> None:
        self._proxy.cut()
        for end in (self.first.script_kill, lambda: self.first.config_set("save", "")):
            with suppress(ResponseError):
                end()
        self.first.close()
        self.second.close()


def _client_of(redis_server: RedisServer) -> redis.Redis:
    return redis.Redis(host=redis_server.host, port=redis_server.port, db=1)


@pytest.fixture
def address(private_redis: Callable[..., RedisServer], settings: LazySettings) -> Iterator[Address]:
    """The address that the queues of this process have."""
    found = Address(private_redis(), private_redis())
    settings.RQ_QUEUES = {
        name: config | {"HOST": "127.0.0.1", "PORT": found.port}
        for name, config in settings.RQ_QUEUES.items()
    }
    yield found
    found.close()


# How a server comes to refuse ----------------------------------------------------------------------


def _demote(address: Address) -> None:
    address.first.replicaof("127.0.0.1", 1)  # nobody listens there


def _lose_the_master(address: Address) -> None:
    address.first.config_set("replica-serve-stale-data", "no")
    _demote(address)


def _want_replicas(address: Address) -> None:
    address.first.config_set("min-replicas-to-write", 1)


def _fill(address: Address) -> None:
    address.first.config_set("maxmemory", 1)


def _take_the_rights(address: Address) -> None:
    address.first.execute_command("ACL", "SETUSER", "default", "-@write")


def _break_the_disk(address: Address) -> None:
    address.first.config_set("save", "3600 1")
    shutil.rmtree(address.folder)
    with suppress(ResponseError):
        address.first.bgsave()
    wait_until(lambda: address.first.info("persistence")["rdb_last_bgsave_status"] == "err")


def _keep_it_busy(address: Address) -> None:
    address.first.config_set("lua-time-limit", 1)
    address.first.set("is busy with", "a script")

    def run_for_ever() -> None:
        with suppress(redis.RedisError), redis.Redis(port=_port(address.first), db=1) as client:
            client.eval("while true do end", 0)

    threading.Thread(target=run_for_ever, daemon=True).start()
    wait_until(lambda: _is_busy(address.first))


def _port(client: redis.Redis) -> int:
    return int(client.connection_pool.connection_kwargs["port"])


def _is_busy(client: redis.Redis) -> bool:
    try:
        client.ping()
    except ResponseError as error:
        return "BUSY" in str(error)
    return False


@pytest.mark.parametrize(
    "refuse",
    [
        _demote,
        _lose_the_master,
        _want_replicas,
        _fill,
        _take_the_rights,
        _break_the_disk,
        _keep_it_busy,
    ],
)
def test_the_call_after_a_refusal_reaches_who_has_the_address_now(
    refuse: Callable[[Address], None], address: Address
) -> None:
    queues.publish(messages(1))
    refuse(address)
    address.move()

    with pytest.raises(BrokerUnavailable):
        queues.publish(messages(2))

    assert queues.publish(messages(3)) == 1
    assert address.second.llen("rq:queue:email") == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: queues.publish(messages(1), hurry=True),
        lambda: claim(1),
        lambda: queues.finish([], WORKER, {"a": 1}),
        lambda: registries.forget_started([("email", "1-1:w")]),
        lambda: lead.take("somebody", 3.0),
        lambda: server.check_writable(),
        lambda: Bell(QUEUES).wait(0.01, WakePipe().fileno()),
    ],
    ids=["publish", "claim", "finish", "sweep", "lead", "health", "bell"],
)
def test_every_way_to_redis_leaves_a_demoted_server(call: Callable[[], Any], address: Address) -> None:
    queues.publish(messages(7, 8, 9))
    drop_idle_connections(client_for("email"))
    call()
    _demote(address)
    address.move()

    with suppress(BrokerUnavailable):
        call()
    circuit.close()

    call()
    wait_until(lambda: len(_guests(address)) == 0, timeout=5)


def _guests(address: Address) -> list[dict[str, str]]:
    mine = address.first.client_id()
    return [client for client in address.first.client_list() if client["id"] != str(mine)]


def test_a_bell_that_is_listened_to_leaves_a_server_that_is_demoted(address: Address) -> None:
    bell, wake = Bell(QUEUES), WakePipe()
    assert not bell.wait(0.01, wake.fileno())
    _demote(address)
    address.move()

    with pytest.raises(BrokerUnavailable, match="UNBLOCKED"):
        bell.wait(2, wake.fileno())

    address.second.lpush("rq:jobqueue:bell:email", "1")
    assert bell.wait(2, wake.fileno())
    bell.leave()


def test_idle_connections_beside_a_refused_one_are_not_refused_in_turn(address: Address) -> None:
    _have_idle_connections(3)
    _demote(address)
    address.move()
    with pytest.raises(BrokerUnavailable):
        queues.publish(messages(1))

    _have_idle_connections(3)
    assert [queues.publish(messages(number)) for number in (2, 3, 4)] == [1, 1, 1]


def _have_idle_connections(count: int) -> None:
    pool = client_for("email").connection_pool
    taken = [pool.get_connection() for _ in range(count)]
    for connection in taken:
        pool.release(connection)


# Passwords -----------------------------------------------------------------------------------------


def test_after_a_rotation_of_the_password_it_is_an_outage_that_says_which_setting_to_change(
    address: Address,
) -> None:
    queues.publish(messages(1))
    address.first.config_set("requirepass", "a new one")
    address.first.client_kill_filter(_type="normal", skipme=True)

    with pytest.raises(BrokerUnavailable, match="PASSWORD and USERNAME in RQ_QUEUES"):
        queues.publish(messages(2))


def test_keys_that_were_taken_away_are_an_outage_that_says_which_setting_to_change(address: Address) -> None:
    queues.publish(messages(1))
    address.first.execute_command("ACL", "SETUSER", "default", "resetkeys")

    with pytest.raises(BrokerUnavailable, match="PASSWORD and USERNAME in RQ_QUEUES"):
        queues.publish(messages(2))


def test_when_the_password_is_right_again_nobody_has_to_act(address: Address) -> None:
    address.first.config_set("requirepass", "a new one")
    with pytest.raises(BrokerUnavailable):
        queues.publish(messages(1))

    address.first.config_set("requirepass", "")

    assert queues.publish(messages(1)) == 1


def test_rights_that_are_not_needed_cost_no_connection(address: Address) -> None:
    address.first.execute_command("ACL", "SETUSER", "default", "-client", "-config")
    queues.publish(messages(1))
    before = address.first.info("stats")["total_connections_received"]

    for number in range(2, 6):
        queues.publish(messages(number))

    assert address.first.info("stats")["total_connections_received"] == before


# Too many ------------------------------------------------------------------------------------------


def test_too_many_clients_are_an_outage_that_ends(address: Address) -> None:
    address.first.ping()
    address.first.config_set("maxclients", 1)
    with pytest.raises(BrokerUnavailable, match="max number of clients|Connection"):
        queues.publish(messages(1))

    address.first.config_set("maxclients", 100)

    assert queues.publish(messages(1)) == 1


# Answers as other servers give them ----------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        ResponseError(
            "Error running script (call to f_1): @user_script:3: @user_script: 3: -READONLY You can't write"
        ),
        ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        ResponseError("UNKILLABLE Sorry the script already executed write commands"),
        ResponseError("NOREPLICAS Not enough good replicas to write."),
        ResponseError("Transaction discarded because of: READONLY You can't write"),
        OutOfMemoryError("command not allowed", status_code="OOM"),
        NoPermissionError("this user has no permissions", status_code="NOPERM"),
        AuthenticationError("invalid password", status_code="ERR"),
        ResponseError("Script attempted to access a non local key in a cluster node", status_code="ERR"),
        ResponseError("@user_script: 1: Lua script attempted to execute a command while the cluster is down"),
        ResponseError("SELECT is not allowed in cluster mode", status_code="ERR"),
        ClusterCrossSlotError("Keys in request don't hash to the same slot", status_code="CROSSSLOT"),
    ],
)
def test_these_are_about_the_server(error: redis.RedisError) -> None:
    assert is_refusal(error)


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        ResponseError("value is not an integer or out of range"),
        ResponseError("BUSYKEY Target key name already exists."),
        ResponseError("Error running script: @user_script:3: attempt to index a nil value"),
    ],
)
def test_these_are_about_what_was_asked(error: redis.RedisError) -> None:
    assert not is_refusal(error)


def test_what_was_asked_wrongly_keeps_its_connection(redis_client: redis.Redis) -> None:
    redis_client.set("rq:jobqueue:counters", "no hash")
    before = _connections(redis_client)
    for _ in range(3):
        with pytest.raises(BrokerUnavailable, match="WRONGTYPE"), as_unavailable():
            client_for("email").hgetall("rq:jobqueue:counters")

    assert _connections(redis_client) - before <= 1


def _connections(client: redis.Redis) -> int:
    return int(client.info("stats")["total_connections_received"])
