"""The same in asyncio: when the lease is lost, the task inside the block is cancelled."""

import asyncio
import sys

from holdfast_client import LeaseLostError, aio


async def main(address: str) -> None:
    async with aio.Holdfast(address) as hf:
        try:
            async with hf.lock("gpu/1", ttl=30, wait=60) as lease:
                await asyncio.sleep(0.1)
                print(f"done under token {lease.token}")
        except LeaseLostError as lost:
            print("lost:", lost.why)


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7420"))
