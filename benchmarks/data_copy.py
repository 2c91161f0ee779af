"""Copy one archive from a server of signed links: mrikit against `upload_blob` from one GET, and against curl.

    MRIKIT_AZURITE=.../azurite-blob .venv/bin/python benchmarks/data_copy.py [--size-mb 2048] [--times 3]

The server is `tests/transfer/archive_server.py` in its own process, Azurite keeps blobs in memory, each contender is
a process of its own, and they take turns; times include the start of Python. Once without a bound and once with 90 MB/s
on each connection, which is what AWS's performance guide gives for one S3 request. mrikit checks SHA256 and flushes to
disk, so curl is also shown followed by `sync FILE`. Then each target is killed when half is there, and resumed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(_TESTS))

NAME = "archive.tar.xz"
S3_BYTES_PER_S = 90e6
QUERY = "AWSAccessKeyId=none&Signature=canary%2BSig%2Fnature0%3D&Expires=4102444800"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one process."""

    seconds: float
    cpu_s: float
    peak_mb: float
    """0 where it is not known."""


def main() -> None:
    """Print the tables, or be one of the contenders."""
    if sys.argv[1:2] == ["--child"]:
        _child(*sys.argv[2:])
        _note_peak(Path(sys.argv[3]).with_name("peak"))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mb", type=int, default=2048)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    from azurite import find_azurite, running_azurite

    program = find_azurite()
    if program is None:
        sys.exit("no Azurite; set MRIKIT_AZURITE")
    # In another process: it loads torch, whose memory would count as that of every child.
    subprocess.run(
        [sys.executable, "-c", "import setting; setting.print_setting()"], cwd=Path(__file__).parent, check=True
    )
    with tempfile.TemporaryDirectory(prefix="mrikit-copy-") as place:
        root = Path(place)
        (root / "source").mkdir()
        (root / "azurite").mkdir()
        with (root / "source" / NAME).open("wb") as file:
            for _ in range(options.size_mb):
                file.write(os.urandom(2**20))
        with running_azurite(program, root / "azurite") as environment:
            os.environ.update(environment)
            for throttle in (None, S3_BYTES_PER_S):
                _compare(root, options.size_mb, options.times, throttle)
            _resume(root, options.size_mb)


def _compare(root: Path, size_mb: int, num_times: int, throttle: float | None) -> None:
    peak = root / "peak"
    with _server(root, throttle) as url:
        contenders = {
            "mrikit to Azurite": lambda: _run(_own("mrikit", url, "az://bench"), peak),
            "upload_blob to Azurite": lambda: _run(_own("upload_blob", url, "az://bench"), peak),
            "mrikit to a folder": lambda: _run(_own("mrikit", url, str(root / "to")), peak),
            "curl": lambda: _run(["curl", "-s", "-o", str(root / "to" / NAME), url.read_text()], peak),
            "curl, sync": lambda: _run(
                ["sh", "-c", 'curl -s -o "$0" "$1" && sync "$0"', str(root / "to" / NAME), url.read_text()], peak
            ),
        }
        costs = _take_turns(contenders, num_times, lambda: _clean(root))
    print(f"\n{size_mb} MiB, {'no bound' if throttle is None else f'{throttle / 1e6:.0f} MB/s on each connection'}")
    print(f"{'':28}{'s':>8}{'MB/s':>8}{'CPU s':>8}{'peak MB':>9}{'speed':>8}")
    peers = {"mrikit to Azurite": "upload_blob to Azurite", "mrikit to a folder": "curl", "curl, sync": "curl"}
    for name, cost in costs.items():
        ratio = f"{costs[peers[name]].seconds / cost.seconds:7.2f}x" if name in peers else ""
        rate = size_mb * 2**20 / 1e6 / cost.seconds
        print(f"{name:28}{cost.seconds:8.2f}{rate:8.0f}{cost.cpu_s:8.2f}{cost.peak_mb or '-':>9}{ratio:>8}")


def _resume(root: Path, size_mb: int) -> None:
    size = size_mb * 2**20
    print(f"\nkilled at half of {size_mb} MiB, resumed")
    print(f"{'':28}{'MiB twice':>10}{'bound':>8}")
    for name, to in (("to a folder", str(root / "to")), ("to Azurite", "az://bench")):
        _clean(root)
        log = root / "requests.jsonl"
        log.unlink(missing_ok=True)
        with _server(root, S3_BYTES_PER_S, log) as url:
            child = subprocess.Popen(_own("mrikit", url, to))
            while _bytes_sent(log) < size / 2:
                time.sleep(0.02)
            child.kill()
            child.wait()
            subprocess.run(_own("mrikit", url, to), check=True)
            twice = (_bytes_sent(log) - size) / 2**20
        print(f"{name:28}{twice:10.1f}{8 * 8:8}")


def _own(how: str, url: Path, to: str) -> list[str]:
    return [sys.executable, __file__, "--child", how, str(url), to]


def _child(how: str, url: str, to: str) -> None:
    """One copy by mrikit or by its peer."""
    from mrikit.storage import parse_location
    from mrikit.transfer import Link, MailArchive

    link = Link(Path(url).read_text())
    if how == "upload_blob":
        import urllib3

        from mrikit.storage import BlobPath
        from mrikit.storage.blob import blob_client

        response = urllib3.PoolManager().request("GET", link.reveal(), preload_content=False)
        blob = blob_client(BlobPath("bench", NAME))
        blob.upload_blob(response, length=int(response.headers["Content-Length"]), max_concurrency=8, overwrite=True)
        return
    from mrikit.transfer.copying.stream import copy_archives

    [result] = copy_archives([MailArchive(link=link, name=NAME)], parse_location(to))
    if result.state not in ("copied", "present"):
        sys.exit(result.message)


def _note_peak(path: Path) -> None:
    """What `wait4` tells includes the memory of the parent before the program was loaded."""
    lines = Path("/proc/self/status").read_text().splitlines()
    path.write_text(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def _take_turns(
    contenders: dict[str, Callable[[], Cost]], num_times: int, clean: Callable[[], None]
) -> dict[str, Cost]:
    """Median of each; the first round warms up."""
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for turn in range(num_times + 1):
        for name, run in contenders.items():
            clean()
            cost = run()
            if turn:
                costs[name].append(cost)
    return {
        name: Cost(
            seconds=statistics.median(one.seconds for one in some),
            cpu_s=statistics.median(one.cpu_s for one in some),
            peak_mb=max(one.peak_mb for one in some),
        )
        for name, some in costs.items()
    }


def _run(command: list[str], peak: Path) -> Cost:
    peak.unlink(missing_ok=True)
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[:4]} failed")
    peak_mb = round(int(peak.read_text()) * 1024 / 1e6) if peak.exists() else 0
    return Cost(seconds=seconds, cpu_s=usage.ru_utime + usage.ru_stime, peak_mb=peak_mb)


def _clean(root: Path) -> None:
    """Nothing at the targets."""
    from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

    from mrikit.storage.blob import container_client

    container = container_client("bench")
    try:
        container.create_container()
    except ResourceExistsError:
        blob = container.get_blob_client(NAME)
        try:
            blob.delete_blob()
        except ResourceNotFoundError:
            blob.upload_blob(b"")  # drops staged blocks
            blob.delete_blob()
    (root / "to").mkdir(exist_ok=True)
    for path in sorted((root / "to").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@contextmanager
def _server(root: Path, throttle: float | None, log: Path | None = None) -> Iterator[Path]:
    """The server in a process of its own; a file with the link."""
    port, url = root / "port", root / "url"
    port.unlink(missing_ok=True)
    command = [sys.executable, str(_TESTS / "transfer" / "archive_server.py"), str(root / "source")]
    command += ["--port-file", str(port)]
    command += ["--throttle", str(throttle)] if throttle else []
    command += ["--log", str(log)] if log else []
    process = subprocess.Popen(command)
    try:
        while not port.exists():
            time.sleep(0.02)
        url.write_text(f"http://127.0.0.1:{port.read_text()}/v2.0/{NAME}?{QUERY}")
        yield url
    finally:
        process.terminate()
        process.wait()


def _bytes_sent(log: Path) -> int:
    lines = log.read_text().splitlines() if log.exists() else []
    return sum(json.loads(line)["num_bytes"] for line in lines)


if __name__ == "__main__":
    main()
