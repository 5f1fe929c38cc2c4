"""A real SMTP server on a free loopback port, with mailboxes that behave well and badly."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

LOOPBACK = "127.0.0.1"


class Mailbox:
    """Takes every e-mail. `tries` counts how often a sender named a recipient."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.tries = 0

    def answer(self, address: str) -> str:
        """What the server says about a recipient."""
        return "250 2.1.5 OK"

    def breaks_in_data(self) -> bool:
        """Whether the server drops the connection in the middle of this e-mail."""
        return False

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.tries += 1
        answer = self.answer(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 2.0.0 taken"


class UnknownMailbox(Mailbox):
    """Refuses its owner for good, and quotes the address as real servers do."""

    def answer(self, address: str) -> str:
        return f"550 5.1.1 <{address}> no such user here"


class BusyMailbox(Mailbox):
    """Refuses for now, `times` times; then takes everything."""

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.times = times

    def answer(self, address: str) -> str:
        return (
            f"451 4.7.1 <{address}> try again later" if self.tries <= self.times else super().answer(address)
        )


class BreakingMailbox(Mailbox):
    """Drops the connection in the middle of the e-mail, `times` times; then takes everything."""

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.times = times

    def breaks_in_data(self) -> bool:
        return self.tries <= self.times


class SilentMailbox(Mailbox):
    """Takes the e-mail but drops the connection before it says so, `times` times."""

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.times = times

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        taken = await super().handle_DATA(server, session, envelope)
        if len(self.messages) <= self.times:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return taken


class RefusingContent(Mailbox):
    """Takes the recipient and refuses what is sent, with the given answer."""

    def __init__(self, answer: str) -> None:
        super().__init__()
        self.content_answer = answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return self.content_answer


class _Protocol(SMTP):
    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if not self.event_handler.breaks_in_data():
            await super().smtp_DATA(arg)
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        await self._reader.readuntil(b"\r\n")
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.abort()


class _Server(Controller):
    """A controller that binds its own port first: no other process can take it in between."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.listener = socket.create_server((LOOPBACK, 0))
        super().__init__(mailbox, hostname=LOOPBACK, port=self.listener.getsockname()[1])

    def factory(self) -> SMTP:
        return _Protocol(self.handler, **self.SMTP_kwargs)

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self.listener)


@contextmanager
def smtp_server(mailbox: Mailbox) -> Iterator[tuple[str, int]]:
    """Run an SMTP server for `mailbox`; the address it listens on."""
    server = _Server(mailbox)
    server.start()
    try:
        yield LOOPBACK, server.port
    finally:
        server.stop()
