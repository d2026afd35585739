"""Sends tasks and prints how each ended: python submit.py GPU... --steps 3"""

from __future__ import annotations

import argparse
import json

from tasks import train


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gpus", type=int, nargs="+", metavar="GPU", help="the card of each task")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--soft-limit", type=float, help="seconds, for this task instead of the hour")
    args = parser.parse_args()
    sent = []
    for gpu in args.gpus:
        limit = {} if args.soft_limit is None else {"soft_time_limit": args.soft_limit}
        task = train.apply_async((gpu, args.steps), **limit)
        say(task=task.id, gpu=gpu, sent=True)
        sent.append((task, gpu))
    for task, gpu in sent:
        outcome = task.get(propagate=False)
        failed = {"error": type(outcome).__name__} if isinstance(outcome, BaseException) else {"result": outcome}
        say(task=task.id, gpu=gpu, state=task.state, **failed)


if __name__ == "__main__":
    main()
