"""A copy in a process of its own, to be killed: `python copy_child.py OPTIONS.json`; its links are in a file."""

import json
import logging
import signal
import sys
from pathlib import Path

from mrikit.storage import parse_location
from mrikit.transfer.copying.stream import CopySettings, copy_archives
from mrikit.transfer.mail import read_mail
from mrikit.transfer.retry import Patience


class Interrupted(BaseException):
    """As `jobs/app.py` raises it."""


def interrupt(*_where: object) -> None:
    raise Interrupted


def main() -> None:
    options = json.loads(Path(sys.argv[1]).read_text())
    if options.get("debug"):
        logging.basicConfig(level=logging.DEBUG)
    signal.signal(signal.SIGINT, interrupt)
    patience = Patience(give_up_after_s=0, num_tries=3, first_wait_s=0.01, max_wait_s=0.1)
    try:
        results = copy_archives(
            read_mail(Path(options["mail"]).read_text()),
            parse_location(options["to"]),
            settings=CopySettings(patience=patience, **options["settings"]),
        )
    except Interrupted:
        sys.exit(130)
    sys.stdout.write(json.dumps([[result.name, result.state, result.message] for result in results]))
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    sys.stderr.write(peak.split()[1])


if __name__ == "__main__":
    main()
