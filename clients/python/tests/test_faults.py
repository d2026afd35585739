"""Replicas that drain and die, nodes that fall silent, processes that are stopped: what the holder is told, and when."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from typing import List

import pytest

from holdfast_client import Holdfast, Lease, LeaseLostError, NoQuorumError, aio

from .service import Cluster, Replica, unique, until


def test_a_drained_replica_loses_nothing(cluster: Cluster) -> None:
    one, two = cluster.replica(), cluster.replica()
    name, granted = unique(), []  # type: str, List[Lease]
    with Holdfast(addresses=[one.address, two.address]) as hf:
        lease, other = hf.acquire(name, ttl=5), hf.acquire(f"{name}/other", ttl=5)
        waiting = threading.Event()

        def wait() -> None:
            granted.append(hf.acquire(name, ttl=5, wait=120, on_queued=lambda _: waiting.set()))

        thread = threading.Thread(target=wait)
        thread.start()
        assert waiting.wait(60)
        one.signal(signal.SIGTERM)
        one.process.wait(60)
        # More than a ttl: renewed by the other replica, or not at all.
        held = time.monotonic()
        until("it is renewed elsewhere", lambda: time.monotonic() > held + 7 or lease.lost)
        lease.check()
        other.check()
        assert lease.release() is True
        thread.join(60)
        granted[0].check()
        assert granted[0].token > lease.token
        assert granted[0].release() is True and other.release() is True


def test_a_killed_replica_is_left_within_the_grace(cluster: Cluster) -> None:
    one, two = cluster.replica(), cluster.replica()
    name = unique()
    with Holdfast(addresses=[one.address, two.address], grace=20) as hf:
        leases = [hf.acquire(f"{name}/{number}", ttl=5) for number in range(20)]
        one.signal(signal.SIGKILL)
        held = time.monotonic()
        until("they are renewed elsewhere", lambda: time.monotonic() > held + 7 or any(one.lost for one in leases))
        for lease in leases:
            lease.check()
            assert lease.release() is True


def test_with_no_grace_the_end_of_the_stream_is_a_loss_at_once(cluster: Cluster) -> None:
    one, two = cluster.replica(), cluster.replica()
    with Holdfast(addresses=[one.address, two.address], grace=0) as hf:
        lease = hf.acquire(unique(), ttl=20)
        one.signal(signal.SIGKILL)
        assert lease.lost_event.wait(10)
        assert lease.lost is not None and lease.lost.reason == "unknown"


def test_without_another_replica_the_lease_is_lost_when_the_grace_is_over() -> None:
    replica = Replica()
    hf = Holdfast(replica.address, grace=1)
    lease = hf.acquire(unique(), ttl=20)
    assert lease.remaining > 15
    replica.signal(signal.SIGKILL)
    killed = time.monotonic()
    assert lease.lost_event.wait(30)
    assert lease.lost is not None and lease.lost.reason == "unknown"
    # Never later than the grace after the end was seen; how soon that is depends on the machine.
    assert time.monotonic() - killed < 15
    replica.stop()


def test_without_a_quorum_the_lease_stands_until_its_count_ends() -> None:
    cluster = Cluster()
    try:
        replica = cluster.replica()
        with Holdfast(replica.address) as hf:
            name = unique()
            lease = hf.acquire(name, ttl=3)
            for node in cluster.nodes[:2]:
                node.signal(signal.SIGSTOP)
            with pytest.raises(NoQuorumError) as told:
                hf.acquire(name, owner="other")
            assert told.value.nodes == 3 and told.value.answered < 2
            if lease.remaining > 0:
                lease.check()
            assert lease.lost_event.wait(30)
            assert lease.lost is not None and lease.lost.reason == "expired"
            for node in cluster.nodes[:2]:
                node.signal(signal.SIGCONT)

            def granted() -> bool:
                try:
                    return hf.acquire(name, owner="after").release()
                except Exception:
                    return False

            until("the lock is to be had again", granted)
    finally:
        cluster.stop()


STOPPED = """
import os, sys, time
from holdfast_client import Holdfast, LeaseLostError
hf = Holdfast(sys.argv[1])
lease = hf.acquire(sys.argv[2], ttl=1)
print("held", flush=True)
sys.stdin.readline()
remaining = lease.remaining
try:
    lease.check()
    print(f"remaining {remaining} valid", flush=True)
except LeaseLostError as error:
    print(f"remaining {remaining} lost {error.why}", flush=True)
os._exit(0)
"""


def test_a_process_that_was_stopped_finds_its_lease_lost_before_any_news(replica: Replica, hf: Holdfast) -> None:
    name = unique()
    child = subprocess.Popen(
        [sys.executable, "-c", STOPPED, replica.address, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None and child.stdout is not None
    assert child.stdout.readline() == "held\n"
    child.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    until("its ttl is over", lambda: time.monotonic() > stopped + 1.5)
    child.stdin.write("go\n")
    child.stdin.flush()
    child.send_signal(signal.SIGCONT)
    said = child.stdout.readline()
    child.wait(60)
    # Either its own thread read the news that the service kept the lease, or it read the clock first.
    assert said in ("remaining 0.0 lost expired\n",) or said.endswith("valid\n"), said
    until("the lock is free", lambda: hf.inspect(name).state == "free")


def test_a_killed_process_frees_its_lock(replica: Replica, hf: Holdfast) -> None:
    name = unique()
    child = subprocess.Popen(
        [sys.executable, "-c", STOPPED, replica.address, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    child.kill()
    child.wait(60)
    with hf.lock(name, wait=60):
        pass


def test_asyncio_is_moved_alike(cluster: Cluster) -> None:
    async def main() -> None:
        one, two = cluster.replica(), cluster.replica()
        async with aio.Holdfast(addresses=[one.address, two.address], grace=20) as hf:
            async with hf.lock(unique(), ttl=5) as lease:
                one.signal(signal.SIGTERM)
                await asyncio.sleep(7)
                lease.check()

    asyncio.run(main())


def test_asyncio_tells_of_a_death_by_cancelling() -> None:
    async def main() -> None:
        replica = Replica()
        async with aio.Holdfast(replica.address) as hf:
            with pytest.raises(LeaseLostError) as told:
                async with hf.lock(unique(), ttl=20):
                    replica.signal(signal.SIGKILL)
                    await asyncio.sleep(600)
            assert told.value.why == "unknown"
        replica.stop()

    asyncio.run(main())
