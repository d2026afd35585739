"""A worker takes a card, works while the lease is good, and sends its token with every effect."""

import sys

from holdfast_client import BusyError, Holdfast, LeaseLostError

hf = Holdfast(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7420")

try:
    with hf.lock("gpu/0", ttl=30, wait=60) as lease:
        for step in range(3):
            lease.check()  # raises LeaseLostError once the lease may not be relied on
            lease.progress(f"step {step + 1} of 3")
        print(f"done under token {lease.token}")
except BusyError as busy:
    print("held by", ", ".join(holder.owner for holder in busy.holders))
except LeaseLostError as lost:
    print("lost:", lost.why)
