"""Whether an executor was asked to stop, and until when.

The supervisor passes SIGTERM and SIGINT on to its executors; `claim_loop` then claims no more, and
`Executor._shut_down` does the rest.
"""

from __future__ import annotations

import signal
import time
from types import FrameType

from jobqueue.worker.loops import WakePipe
from jobqueue.worker.options import STOP_SIGNALS

# Seconds that settling and handing back may take after the shutdown time-out.
_STOP_WITHIN = 2.0


class Stop:
    """The stop of one executor: nobody has asked for it yet, or jobs may run on until `by`."""

    def __init__(self, shutdown_timeout: float) -> None:
        """`shutdown_timeout`: seconds for which jobs may run on."""
        self.shutdown_timeout = shutdown_timeout
        self.wake = WakePipe()
        """Ends the waits of the thread that claims, also at a stop."""
        self.is_asked = False
        self.by: float | None = None
        """The monotonic time by which running jobs have to end; None while nobody asked for a stop."""

    def listen(self) -> None:
        """From now on signals ask for a stop."""
        for signum in STOP_SIGNALS:
            signal.signal(signum, self.ask)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def ask(self, signum: int, frame: FrameType | None) -> None:
        """Only a flag: to raise here would drop a batch that was just claimed. The first deadline stays."""
        if self.by is None:
            self.by = time.monotonic() + self.shutdown_timeout
        self.is_asked = True
        self.wake.wake()

    def is_overdue(self) -> bool:
        """Whether the process should have ended, also with what comes after its jobs."""
        return self.by is not None and time.monotonic() >= self.by + _STOP_WITHIN
