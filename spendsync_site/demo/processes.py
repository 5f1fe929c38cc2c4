"""Small helpers for processes that others start and must not outlive."""

import ctypes
import os
import signal
import socket
import subprocess
import sys

LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG = 1
# Loaded here and not in the child: between fork and exec a process must not import anything.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent() -> None:
    """In a child between fork and exec: get SIGTERM when the parent dies, however it dies (Linux)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def why_not_free(port: int) -> str:
    """Why a server cannot listen on this loopback port now; empty if it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return os.strerror(error.errno) if error.errno else str(error)
        return ""


def stop(process: "subprocess.Popen[str]", timeout: float) -> int:
    """End a process with SIGTERM, or after `timeout` seconds with SIGKILL; its exit code."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
