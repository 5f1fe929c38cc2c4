"""`python -m spendsync_site.demo --port 8000 --var var` runs the demo; `--reset` removes its data."""

import argparse
import sys
from pathlib import Path

from spendsync_site.demo.folder import DemoFolder, DemoRunning, NotADemoFolder
from spendsync_site.demo.processes import LOOPBACK, why_not_free
from spendsync_site.demo.redis_server import RedisUnavailable

USAGE_ERROR = 2


def _port(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port; allowed are 1 to 65535")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m spendsync_site.demo", description=__doc__)
    parser.add_argument("--port", type=_port, default=8000, help="where the site listens (default: 8000)")
    parser.add_argument(
        "--var", type=Path, default=Path("var"), help="the folder for all data (default: var)"
    )
    parser.add_argument("--reset", action="store_true", help="remove the data of the demo and end")
    return parser.parse_args()


def _reset(folder: DemoFolder) -> int:
    folder.reset()
    print(f"The demo's data in {folder.path} is gone; the next `make demo` starts over.")
    return 0


def _run(folder: DemoFolder, port: int) -> int:
    from spendsync_site.demo.supervisor import Supervisor  # needs what locks/demo.txt installs

    with folder.locked():
        busy = why_not_free(port)
        if busy:
            print(
                f"Port {port} on {LOOPBACK} cannot be used: {busy}. "
                f"Choose another one: make demo PORT={port + 1 if port < 65535 else 8000}",
                file=sys.stderr,
            )
            return USAGE_ERROR
        return Supervisor(folder, port).run()


def main() -> int:
    """Run or reset the demo; the exit code."""
    arguments = _arguments()
    folder = DemoFolder(arguments.var)
    try:
        return _reset(folder) if arguments.reset else _run(folder, arguments.port)
    except (DemoRunning, NotADemoFolder, RedisUnavailable) as error:
        print(f"{error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:  # before the supervisor listens to signals
        return 130


if __name__ == "__main__":
    sys.exit(main())
