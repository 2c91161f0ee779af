"""Claim: `mrikit --help` starts in under 0.5 s. Peer: `python -c pass` in the same run."""

import statistics
import subprocess
import sys
import time

NUM_RUNS = 9


def main() -> None:
    """Print the median start-up time of the command line and of bare Python."""
    print(f"| command | median of {NUM_RUNS}, ms |")
    print("|---|--:|")
    for name, command in {
        "python -c pass": [sys.executable, "-c", "pass"],
        "mrikit --help": [sys.executable, "-m", "mrikit", "--help"],
    }.items():
        print(f"| `{name}` | {1000 * statistics.median(_seconds(command) for _ in range(NUM_RUNS)):.0f} |")


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
