"""One deadline over a whole HTTP exchange, however the other side spreads its bytes.

httpx limits each wait: a server that sends a byte now and then, or one informational response after
the other, is waited for without end. With `DeadlineTransport` the deadline that is in force bounds
everything that takes time: finding the address, each connect, TLS, sending and every read::

    client = httpx.Client(transport=DeadlineTransport(url))
    with within(20) as deadline, client.stream("GET", url) as response:
        ...  # an httpx.TimeoutException once 20 s are over; `deadline.passed` tells it from a shorter wait

A deadline belongs to the thread (or task) that is inside `within`; threads may share a client. What
it cannot bound is TLS to the server inside TLS to a proxy (a proxy whose own address is https://):
there each wait is limited, not their sum.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

# As httpx has them.
MAX_CONNECTIONS = 100
MAX_KEPT_CONNECTIONS = 20
KEPT_FOR = 5.0
"""Seconds that an idle connection is kept."""

SocketOptions = Iterable[httpcore.SOCKET_OPTION]


class Deadline:
    """The moment at which an exchange must have ended."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until then; negative when it has passed."""
        return self._end - time.monotonic()

    @property
    def passed(self) -> bool:
        """Whether the time is used up."""
        return self.left <= 0


_in_force: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def within(seconds: float) -> Iterator[Deadline]:
    """The exchange inside must end within so many seconds."""
    deadline = Deadline(seconds)
    token = _in_force.set(deadline)
    try:
        yield deadline
    finally:
        _in_force.reset(token)


def _limited(timeout: float | None, too_late: type[httpcore.TimeoutException]) -> float | None:
    """The timeout, or what is left until the deadline if that is less; `too_late` if nothing is."""
    deadline = _in_force.get()
    if deadline is None:
        return timeout
    left = deadline.left
    if left <= 0:
        raise too_late("the deadline of the exchange has passed")
    return left if timeout is None else min(timeout, left)


class DeadlineTransport(httpx.BaseTransport):
    """Speaks HTTP/1.1 for an `httpx.Client` and keeps to the deadline that is in force.

    It serves one base URL: by it, and by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY in the
    environment, is decided here whether a proxy lies between.
    """

    def __init__(self, base_url: str) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            proxy=_proxy_for(httpx.URL(base_url)),
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_KEPT_CONNECTIONS,
            keepalive_expiry=KEPT_FOR,
            network_backend=_Backend(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return its response as soon as the headers are there."""
        assert isinstance(request.stream, httpx.SyncByteStream)
        url = request.url
        with _errors_of_httpx():
            response = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={**request.extensions, "timeout": _timeouts(request)},
                )
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.close()


def _timeouts(request: httpx.Request) -> dict[str, float | None]:
    """Those of the request. Only the wait for a free connection never comes by `_Backend`."""
    timeouts: dict[str, float | None] = dict(request.extensions.get("timeout", {}))
    timeouts["pool"] = _limited(timeouts.get("pool"), httpcore.PoolTimeout)
    return timeouts


class _Body(httpx.SyncByteStream):
    """The body of a response, read as it comes."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _errors_of_httpx():
            yield from self._response.iter_stream()

    def close(self) -> None:
        with _errors_of_httpx():
            self._response.close()


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    """Raise httpcore's errors as httpx's, which have the same names."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
    ) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error


def _proxy_for(url: httpx.URL) -> httpcore.Proxy | None:
    """The proxy that the environment names for this URL."""
    proxies = getproxies()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address or proxy_bypass(url.host) or proxy_bypass(url.netloc.decode("ascii")):
        return None
    proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
    return httpcore.Proxy(str(proxy.url), auth=proxy.raw_auth)


class _Backend(httpcore.NetworkBackend):
    """Connects within the deadline, to whichever of a host's addresses answers first in their order."""

    def __init__(self) -> None:
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        # Address by address: socket.create_connection would give each of them the whole timeout.
        failure: Exception = httpcore.ConnectError("the host has no address")
        for address in _addresses(host, port):
            limit = _limited(timeout, httpcore.ConnectTimeout)
            try:
                return _Stream(self._sockets.connect_tcp(*address, limit, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


def _addresses(host: str, port: int) -> list[tuple[str, int]]:
    """Where the host can be reached, best first.

    Only the deadline limits the search: a resolver asks its second name server after seconds.
    """
    try:
        found = _look_up(host, port, _limited(None, httpcore.ConnectTimeout))
    except TimeoutError:
        raise httpcore.ConnectTimeout("the host's address was not found in time") from None
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(str(error)) from error
    return [(str(address[0]), int(address[1])) for *_, address in found]


def _look_up(host: str, port: int, timeout: float | None) -> list[tuple[Any, ...]]:
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except socket.gaierror:
        pass  # a name, not an address
    answer: Future[list[tuple[Any, ...]]] = Future()

    def ask() -> None:
        try:
            answer.set_result(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except Exception as error:
            answer.set_exception(error)

    # The resolver takes no timeout; a thread that waits for it in vain ends when the resolver gives up.
    threading.Thread(target=ask, name=f"look up {host}", daemon=True).start()
    return answer.result(timeout)


class _Stream(httpcore.NetworkStream):
    """A connection of which every wait ends with the deadline."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _limited(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # A question fits into the socket's buffer: it is sent at once or not at all.
        self._stream.write(buffer, _limited(timeout, httpcore.WriteTimeout))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        try:
            # Python counts the timeout over the whole handshake, not over each of its reads.
            limit = _limited(timeout, httpcore.ConnectTimeout)
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, limit))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
