"""Finishing: what stays in Redis of a message whose job is settled."""

from __future__ import annotations

import redis
from rq.registry import FinishedJobRegistry
from rq.serializers import JSONSerializer

from jobqueue.broker import queues
from tests.jobqueue.broker.steps import OTHER_WORKER, WORKER, claimed


def test_a_finished_message_is_kept_for_a_while_for_rqs_tools(redis_client: redis.Redis) -> None:
    [message] = claimed(1)
    queues.finish([(message, True)], WORKER)

    registry = FinishedJobRegistry("email", connection=redis_client, serializer=JSONSerializer)
    assert registry.get_job_ids() == ["1-1"]
    assert redis_client.zcard("rq:wip:email") == 0
    assert 0 < redis_client.ttl("rq:job:1-1") <= queues.KEEP_FINISHED


def test_a_message_that_did_not_finish_is_forgotten(redis_client: redis.Redis) -> None:
    [message] = claimed(1)
    queues.finish([(message, False)], WORKER)

    assert redis_client.keys("rq:job:*") == []
    assert redis_client.zcard("rq:wip:email") == 0


def test_finishing_does_not_touch_what_another_worker_runs(redis_client: redis.Redis) -> None:
    [message] = claimed(1)
    queues.finish([(message, False)], OTHER_WORKER)

    assert redis_client.zrange("rq:wip:email", 0, -1) == [f"1-1:{WORKER}".encode()]
