"""The demo's mail server: keeps every mail as a file, and has one mailbox that always refuses.

Run as `python -m spendsync_site.demo.mail --port 2525 --folder var/mail --refuse full@spendsync.example`.
"""

import argparse
import asyncio
import itertools
import signal
from datetime import datetime
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from spendsync_site.demo.processes import LOOPBACK

REFUSING_MAILBOX = "full@spendsync.example"
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@")


class Mailbox:
    """aiosmtpd's handler: one `.eml` file for each mail, a temporary refusal for one address."""

    def __init__(self, folder: Path, refused: str) -> None:
        self.folder = folder
        self.refused = refused.lower()
        self._numbers = itertools.count(1)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take or refuse a recipient."""
        if address.lower() == self.refused:
            print(f"refused a mail to {address}: this mailbox always refuses", flush=True)
            return "451 4.2.2 mailbox full, try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

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
    parser.add_argument("--refuse", default=REFUSING_MAILBOX)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(serve(arguments.port, Mailbox(arguments.folder, arguments.refuse)))


if __name__ == "__main__":
    main()
