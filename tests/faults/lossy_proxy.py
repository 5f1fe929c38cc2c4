"""A proxy before Redis that lets chosen commands through and loses their replies with the connection."""

from __future__ import annotations

import contextlib
import socket
import threading

from jobqueue.broker import queues, scripts
from tests.faults.proxy import Proxy

_CHUNK = 65536


def script_sha(name: str) -> bytes:
    """By which a call of "publish", "claim" or "finish" is known on the wire."""
    script: scripts.Script = getattr(queues, name.upper())
    return script.sha.encode()


class LossyProxy(Proxy):
    """Passes bytes on; while told to, it drops the reply of every request that holds a given text."""

    def __init__(self, host: str, port: int) -> None:
        self._needle = b""
        self._left = 0
        self._changed = threading.Condition()
        self._muted: set[socket.socket] = set()
        super().__init__(host, port)

    def lose_replies(self, needle: bytes, times: int) -> None:
        """Lose the replies of the next `times` requests that hold `needle`."""
        with self._changed:
            self._needle, self._left = needle, times

    def wait_until_lost(self, timeout: float = 20.0) -> None:
        """Return once all those replies are lost."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._left, timeout), f"{self._left} replies not lost"

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            from_client = target.getpeername() == self._target
            while data := source.recv(_CHUNK):
                if from_client and self._is_to_be_lost(data):
                    self._muted.add(target)
                if not from_client and source in self._muted:
                    break  # Redis has done what it was asked; nobody hears of it
                target.sendall(data)
        for connected in (source, target):
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def _is_to_be_lost(self, request: bytes) -> bool:
        with self._changed:
            if not self._left or self._needle not in request:
                return False
            self._left -= 1
            self._changed.notify_all()
            return True
