"""The scripts in Redis: one prelude stands before all of them, and they get by name what they are given."""

from __future__ import annotations

import re
from importlib import resources
from itertools import chain

import pytest
import redis

from jobqueue.broker import (
    connections,
    foreign,
    keys,
    lead,
    limits,
    neighbours,
    queues,
    registries,
    scripts,
    set_aside,
    strange_keys,
)
from jobqueue.broker.scripts import Script
from tests.jobqueue.broker.steps import claim, messages

FOLDER = resources.files("jobqueue.broker").joinpath("lua")
FILES = {file.name.removesuffix(".lua"): file.read_text() for file in FOLDER.iterdir()}
SCRIPTS = {
    script.name: script
    for module in (queues, limits, lead, registries, foreign, set_aside, strange_keys, neighbours)
    for script in (*vars(module).values(), *set_aside._PUT_BACK.values())
    if isinstance(script, Script)
}


def test_every_file_is_the_prelude_or_a_script() -> None:
    assert set(FILES) == {"prelude", *SCRIPTS}


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_stands_behind_the_same_prelude(name: str) -> None:
    assert SCRIPTS[name].text.startswith(scripts.prelude())
    assert "\n".join(_code(SCRIPTS[name].text)).endswith("\n".join(_code(FILES[name].rpartition(">>")[2])))


@pytest.mark.parametrize("name", SCRIPTS)
def test_redis_keeps_the_code_of_a_script_and_none_of_its_comments(name: str) -> None:
    assert "--" not in SCRIPTS[name].text
    filled_in = {line for line in _code(FILES[name]) if "<<" in line}
    assert set(_code(FILES[name])) - filled_in <= set(_code(SCRIPTS[name].text))


def _code(text: str) -> list[str]:
    """The lines without comments, and without what is left of those that were nothing else."""
    lines = [line.split("--")[0].rstrip() for line in text.splitlines()]
    return [line for line in lines if line]


def test_the_prelude_has_every_key_under_its_name() -> None:
    assert dict(re.findall(r"^  (\w+) = '([^']*)',", scripts.prelude(), re.MULTILINE)) == keys.PATTERNS
    assert "<<" not in scripts.prelude()


@pytest.mark.parametrize("name", FILES)
def test_no_file_spells_a_key_or_counts_arguments(name: str) -> None:
    texts = re.findall(r"'([^'\n]*)'", re.sub(r"--.*", "", FILES[name]))
    no_keys = (":", "^(.*):[^:]*$", "^[%w_:%.~ /%-]*", "^.*[: ]")
    assert [text for text in texts if ":" in text and text not in no_keys] == []
    assert "ARGV" not in FILES[name]


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_says_at_its_head_what_it_is_given(name: str) -> None:
    head = FILES[name].partition("\nlocal ")[0].partition("\nfor ")[0].partition("\nif ")[0]
    script = SCRIPTS[name]
    given = {*script.values, *script.lists, *chain.from_iterable(script.lists.values())}

    assert {word for word in given if not re.search(rf"^--.*\b{word}\b", head, re.MULTILINE)} == set()


def test_values_come_first_then_the_lengths_of_the_lists_then_their_records() -> None:
    script = Script("any", "first", "second", entries=("queue", "id", "data"), texts=())
    entries = [("email", "5-1", "text"), ("reminders", "6-1", "")]

    assert script.arguments({"second": 2, "first": 1, "texts": ["a", "b", "c"], "entries": entries}) == [
        *(1, 2, 2, 3),
        *("email", "5-1", "text", "reminders", "6-1", ""),
        *("a", "b", "c"),
    ]


def test_a_redis_that_forgot_the_scripts_gets_them_again(redis_client: redis.Redis) -> None:
    queues.publish(messages(1))
    redis_client.script_flush()

    assert queues.publish(messages(2)) == 1
    redis_client.script_flush()
    assert claim() == ["1-1", "2-1"]


@pytest.mark.parametrize("text", ["ä/€/😀", 'a "quoted" \\ text', "a\x00b", "a\nb", "", "5-1", "null"])
def test_any_text_survives_the_way_to_a_script(redis_client: redis.Redis, text: str) -> None:
    queues.publish([messages(1)[0]._replace(description=text)])

    assert redis_client.hget("rq:job:1-1", "description") == text.encode()


@pytest.mark.parametrize("name", [b"\xff\xfe\x80", "ä€😀".encode(), b'a"b\\c/d', b"a\x00\x7f\n", b""])
def test_any_bytes_survive_the_way_from_a_script_and_back(redis_client: redis.Redis, name: bytes) -> None:
    redis_client.zadd(keys.foreign("email"), {name: 0})
    [(queue, message_id)] = foreign.to_look_after(10)
    foreign.report(foreign.Report(queue, message_id, "", "finished"))

    assert not redis_client.exists(keys.foreign("email"))


def test_a_script_that_fails_leaves_its_connection_to_the_next() -> None:
    client = connections.client_for("email")
    nothing_to_add = {"batch": "b", "seconds": 0, "keep": 1, "worker": "a", "finished": [], "others": []}
    nothing_to_add["chart"] = []
    with pytest.raises(redis.ResponseError):
        scripts.run(client, queues.FINISH, **nothing_to_add, counters=[("field", "no number")])

    assert queues.publish(messages(1)) == 1
