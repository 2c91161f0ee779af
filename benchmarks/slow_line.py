"""A line as to a storage account far away: each answer comes late, and each connection carries only so much.

    python benchmarks/slow_line.py PORT [--latency-ms 10] [--mb-per-s 60]

Prints the port that stands for PORT of this machine. Bytes are handed on as they are, so TLS is between the two ends.
"""

import argparse
import asyncio
import sys

PIECE_BYTES = 2**18


async def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--latency-ms", type=float, default=10)
    parser.add_argument("--mb-per-s", type=float, default=60)
    options = parser.parse_args()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", options.port, limit=PIECE_BYTES)
        await asyncio.gather(
            _carry(reader, back, options.latency_ms / 1e3, None),
            _carry(there, writer, 0, options.mb_per_s * 1e6),
            return_exceptions=True,
        )

    server = await asyncio.start_server(connect, "127.0.0.1", 0, limit=PIECE_BYTES)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, latency_s: float, bytes_per_s: float | None
) -> None:
    """One direction; a request comes late, an answer slowly."""
    clock = asyncio.get_running_loop().time
    free_at = clock()
    try:
        while piece := await reader.read(PIECE_BYTES):
            await asyncio.sleep(latency_s)
            if bytes_per_s:
                free_at = max(free_at, clock()) + len(piece) / bytes_per_s
                await asyncio.sleep(free_at - clock())
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
