"""What our relay is measured beside: the least that can be written with `websockets`, which records nothing."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

LIMIT = 32 * 1024 * 1024


async def carry(source: ServerConnection | ClientConnection, target: ServerConnection | ClientConnection) -> None:
    """Hand on what comes, then close."""
    with contextlib.suppress(ConnectionClosed):
        async for message in source:
            await target.send(message)
    await target.close()


async def main(upstream: str) -> None:
    """Relay every connection to the same address, query and all; says on which port."""

    async def relay(client: ServerConnection) -> None:
        assert client.request is not None
        query = client.request.path.partition("?")[2]
        async with connect(f"{upstream}?{query}", compression=None, max_size=LIMIT) as api:
            await asyncio.gather(carry(client, api), carry(api, client))

    async with serve(relay, "127.0.0.1", 0, compression=None, max_size=LIMIT) as server:
        sys.stdout.write(f"{next(iter(server.sockets)).getsockname()[1]}\n")
        sys.stdout.flush()
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
