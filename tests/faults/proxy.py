"""A TCP proxy between a worker and a server, which a test cuts and restores like a network."""

from __future__ import annotations

import contextlib
import socket
import threading

from spendsync_site.demo.processes import LOOPBACK

_CHUNK = 65536


class Proxy:
    """Passes bytes between clients and one server until it is cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.restore()

    def restore(self) -> None:
        """Take connections (again), on the same port."""
        listener = socket.create_server((LOOPBACK, self.port))
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="proxy", daemon=True).start()

    def cut(self) -> None:
        """Break all connections and refuse new ones."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            listener.close()
        self.drop_connections()

    def redirect(self, host: str, port: int) -> None:
        """Pass on to another server, as an address does that moves; connections to the old one break."""
        self._target = (host, port)
        self.drop_connections()

    def move(self, host: str, port: int) -> None:
        """Pass new connections on to another server; those there are stay with the one they reached."""
        self._target = (host, port)

    def drop_connections(self) -> None:
        """Break all connections; new ones are taken."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for connected in sockets:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
            connected.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets |= {client, server}
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                target.sendall(data)
        for connected in (source, target):
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
