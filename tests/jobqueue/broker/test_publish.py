"""Publishing: each message is queued once, and RQ can read it."""

from __future__ import annotations

import django_rq
import redis
import rq
from rq.job import Job as RQJob
from rq.serializers import JSONSerializer

from jobqueue.broker import queues
from jobqueue.broker.message import Message
from tests.jobqueue.broker.steps import claim, messages
from tests.jobqueue.steps import list_of


def test_messages_stand_in_the_order_of_their_publication(redis_client: redis.Redis) -> None:
    queues.publish(messages(2, 1))
    queues.publish(messages(3))

    assert list_of(redis_client) == ["2-1", "1-1", "3-1"]


def test_publishing_a_message_again_changes_nothing(redis_client: redis.Redis) -> None:
    assert queues.publish(messages(1)) == 1
    assert queues.publish(messages(1)) == 0

    assert list_of(redis_client) == ["1-1"]


def test_publishing_tells_how_many_were_new() -> None:
    queues.publish(messages(1))

    assert queues.publish(messages(1, 2, 3)) == 2


def test_after_somebody_deleted_the_list_a_message_can_be_published_again(redis_client: redis.Redis) -> None:
    queues.publish(messages(1))
    redis_client.delete("rq:queue:email")

    assert queues.publish(messages(1)) == 1
    assert list_of(redis_client) == ["1-1"]


def test_another_attempt_is_another_message(redis_client: redis.Redis) -> None:
    queues.publish([Message("email", 1, 1), Message("email", 1, 2)])

    assert list_of(redis_client) == ["1-1", "1-2"]


def test_rq_knows_the_queue_and_what_is_queued(redis_client: redis.Redis) -> None:
    queues.publish(messages(1))

    assert [queue.name for queue in rq.Queue.all(connection=redis_client, serializer=JSONSerializer)] == [
        "email"
    ]
    assert django_rq.get_queue("email").job_ids == ["1-1"]


def test_rq_can_read_a_message_as_its_own_job(redis_client: redis.Redis) -> None:
    queues.publish(messages(1))
    job = RQJob.fetch("1-1", connection=redis_client, serializer=JSONSerializer)

    assert job.get_status() == "queued"
    assert (job.origin, job.description, job.timeout) == ("email", "sample.succeed", 30)
    assert job.func_name == "jobqueue.broker.message.refuse_message"
    assert job.args == [1, 1]
    assert job.enqueued_at is not None


def test_a_worker_of_rq_itself_does_not_run_our_jobs(redis_client: redis.Redis) -> None:
    queues.publish(messages(1))
    queue = django_rq.get_queue("email")
    rq.SimpleWorker([queue], connection=redis_client, serializer=JSONSerializer).work(burst=True)

    job = RQJob.fetch("1-1", connection=redis_client, serializer=JSONSerializer)
    result = job.latest_result()
    assert job.get_status() == "failed"
    assert result is not None
    assert "runs only in jobqueue's own worker: manage.py rqworker" in str(result.exc_string)


def test_nothing_about_the_payload_is_in_redis(redis_client: redis.Redis) -> None:
    queues.publish(messages(1))

    assert set(redis_client.hgetall("rq:job:1-1")) == {
        *(b"status", b"list", b"origin", b"data", b"description", b"timeout", b"created_at", b"enqueued_at")
    }
    assert (
        redis_client.hget("rq:job:1-1", "data")
        == b'["jobqueue.broker.message.refuse_message", null, [1, 1], {}]'
    )


def test_only_new_messages_are_published_where_that_is_asked_for(redis_client: redis.Redis) -> None:
    queues.publish(messages(1))
    claim()

    assert queues.publish(messages(1, 2), only_new=True) == 1
    assert list_of(redis_client) == ["2-1"]
