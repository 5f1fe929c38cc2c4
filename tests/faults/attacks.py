"""What somebody with access to Redis may put on a queue: attacks that act when run, and plain garbage.

Every attack leaves a folder, the marker, where whatever it names or carries was run. A stock RQ worker
runs all of them, which the tests prove, so that a marker that is not there means something.
"""

from __future__ import annotations

import json
import os
import pickle
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import redis

Fields = Mapping[str, Any]
"""The hash of an RQ job."""
Attack = Callable[[Path], Fields]

_HARMLESS = '["builtins.len", null, [[]], {}]'
_FAILING = '["builtins.int", null, ["x"], {}]'


class TouchesWhenLoaded:
    """Its pickle creates a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


def leave_marker(job: Any, *_: Any) -> None:
    """A callback as RQ calls it, with its job first; where the marker goes stands in the description."""
    os.mkdir(job.description)


def _json(function: str, *arguments: Any) -> bytes:
    return zlib.compress(json.dumps([function, None, arguments, {}]).encode())


def _pickled(function: str, instance: object, *arguments: Any) -> bytes:
    return zlib.compress(pickle.dumps((function, instance, arguments, {})))


# Attacks ------------------------------------------------------------------------------------------


def pickle_that_acts_when_loaded(marker: Path) -> Fields:
    return {"data": zlib.compress(pickle.dumps(TouchesWhenLoaded(marker)))}


def pickle_that_is_not_compressed(marker: Path) -> Fields:
    return {"data": pickle.dumps(TouchesWhenLoaded(marker))}


def pickle_in_meta(marker: Path) -> Fields:
    return {"data": _pickled("builtins.len", None, []), "meta": pickle.dumps(TouchesWhenLoaded(marker))}


def pickled_function(marker: Path) -> Fields:
    return {"data": _pickled("os.mkdir", None, str(marker))}


def pickled_instance(marker: Path) -> Fields:
    return {"data": _pickled("mkdir", marker)}


def json_os_system(marker: Path) -> Fields:
    return {"data": _json("os.system", f"mkdir '{marker}'")}


def json_os_mkdir_uncompressed(marker: Path) -> Fields:
    return {"data": f'["os.mkdir", null, ["{marker}"], {{}}]'}


def json_builtins_eval(marker: Path) -> Fields:
    return {"data": _json("builtins.eval", f"__import__('os').mkdir('{marker}')")}


def json_subprocess_run(marker: Path) -> Fields:
    return {"data": _json("subprocess.run", ["mkdir", str(marker)])}


def success_callback(marker: Path) -> Fields:
    callback = f"{leave_marker.__module__}.{leave_marker.__name__}"
    return {"data": _HARMLESS, "success_callback_name": callback, "description": str(marker)}


def failure_callback(marker: Path) -> Fields:
    callback = f"{leave_marker.__module__}.{leave_marker.__name__}"
    return {"data": _FAILING, "failure_callback_name": callback, "description": str(marker)}


def webhook(marker: Path) -> Fields:
    hook = {"url": marker.with_suffix(".url").read_text(), "job_status": "finished"}
    return {"data": _HARMLESS, "webhooks": json.dumps([hook])}


PICKLE_ATTACKS: list[Attack] = [
    pickle_that_acts_when_loaded,
    pickle_that_is_not_compressed,
    pickle_in_meta,
    pickled_function,
    pickled_instance,
]
JSON_ATTACKS: list[Attack] = [
    json_os_system,
    json_os_mkdir_uncompressed,
    json_builtins_eval,
    json_subprocess_run,
    success_callback,
    failure_callback,
    webhook,
]
ATTACKS = [*PICKLE_ATTACKS, *JSON_ATTACKS]


@contextmanager
def marking_web_server(marker: Path) -> Iterator[None]:
    """A web server whose every request leaves the marker; its address stands beside the marker."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
            marker.mkdir(exist_ok=True)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        marker.with_suffix(".url").write_text(f"http://127.0.0.1:{server.server_port}/")
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield
        server.shutdown()


# Garbage ------------------------------------------------------------------------------------------


def malformed_fields() -> Fields:
    return {
        "status": b"\xff\xfe",
        "created_at": "yesterday",
        "timeout": "soon",
        "result_ttl": "-",
        "data": b"",
    }


def unknown_function() -> Fields:
    return {"data": _json("nowhere.nothing")}


def function_without_a_module() -> Fields:
    return {"data": _json("nothing")}


def wrong_serializer() -> Fields:
    return {"data": _pickled("builtins.len", None, [])}


def truncated_compression() -> Fields:
    return {"data": _json("builtins.len", "some text that is long enough to be cut")[:20]}


def data_that_is_no_json() -> Fields:
    return {"data": zlib.compress(b'["builtins.len", nul')}


def unknown_status() -> Fields:
    return {"status": "flying", "data": _json("builtins.len", [])}


GARBAGE: list[Callable[[], Fields]] = [
    malformed_fields,
    unknown_function,
    function_without_a_module,
    wrong_serializer,
    truncated_compression,
    data_that_is_no_json,
    unknown_status,
]


# Injection ----------------------------------------------------------------------------------------


def inject(client: redis.Redis, message: str | bytes, fields: Fields | None, queue: str = "email") -> None:
    """Put a message on a queue as an attacker with access to Redis does. Without fields it has no hash."""
    if fields is not None:
        client.hset(f"rq:job:{as_text(message)}", mapping={"status": "queued", "origin": queue, **fields})
    client.sadd("rq:queues", f"rq:queue:{queue}")
    client.rpush(f"rq:queue:{queue}", message)


def as_text(message: str | bytes) -> str:
    """The message's id as text, whatever it is made of."""
    return message if isinstance(message, str) else message.decode("utf-8", "replace")
