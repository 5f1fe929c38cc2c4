"""The demo's mail server: keeps every mail as a file, and has mailboxes that behave as real ones do.

One does not exist any more, one is greylisted for some seconds, one for so long that the world moves on. Run
as `python -m spendsync_site.demo.mail --port 2525 --folder var/mail`.
"""

import argparse
import asyncio
import itertools
import signal
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from spendsync_site.demo.processes import LOOPBACK

UNKNOWN_MAILBOX = "gone@spendsync.example"
GREYLISTED_MAILBOX = "grey@spendsync.example"
SLOW_MAILBOX = "slow@spendsync.example"
GREYLISTED = {GREYLISTED_MAILBOX: 5.0, SLOW_MAILBOX: 600.0}
"""For how many seconds a mailbox asks a stranger to come again."""
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@")


class Mailbox:
    """aiosmtpd's handler: one `.eml` file for each mail, and refusals for some addresses."""

    def __init__(self, folder: Path, greylisted: Mapping[str, float] = GREYLISTED) -> None:
        self.folder = folder
        self.greylisted = greylisted
        self._first_seen: dict[str, float] = {}
        self._numbers = itertools.count(1)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take or refuse a recipient."""
        refusal = self._refusal(address.lower())
        if refusal:
            print(f"answered to {address}: {refusal}", flush=True)
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    def _refusal(self, address: str) -> str:
        if address == UNKNOWN_MAILBOX:
            return "550 5.1.1 no such mailbox here"
        if address in self.greylisted:
            first = self._first_seen.setdefault(address, time.monotonic())
            if time.monotonic() - first < self.greylisted[address]:
                return "451 4.7.1 greylisted, come again"
        return ""

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep a mail."""
        name = self._name_for(envelope.rcpt_tos[0])
        content = envelope.content or b""
        (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        print(f"kept a mail as {name}", flush=True)
        return "250 Message accepted for delivery"

    def _name_for(self, recipient: str) -> str:
        safe = "".join(character if character in _SAFE else "_" for character in recipient)
        return f"{datetime.now():%Y%m%d-%H%M%S}-{next(self._numbers):04d}-{safe[:80]}.eml"


async def serve(port: int, mailbox: Mailbox) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(lambda: SMTP(mailbox, hostname="demo"), LOOPBACK, port)
    async with server:
        print(f"ready on {LOOPBACK}:{port}", flush=True)
        await stopped.wait()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(serve(arguments.port, Mailbox(arguments.folder)))


if __name__ == "__main__":
    main()
