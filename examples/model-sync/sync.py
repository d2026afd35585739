"""Brings the models of a manifest into a folder that many workers share: whoever asks first fetches, all get the file.

    python sync.py MANIFEST_URL FOLDER

The manifest is JSON: {"models": [{"name": "encoder.bin", "url": "...", "bytes": 123, "sha256": "..."}]}.
Run it in as many processes and on as many machines as share the folder. It prints one line of JSON for each model.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import sys
import time
import urllib.request
from pathlib import Path
from typing import TypedDict

from holdfast_client import Holdfast, HoldfastError, Lease
from holdfast_client.fencing import FencingError

TRIES = 8
TTL = float(os.environ.get("SYNC_TTL", "30"))
# No byte for so long, in seconds, and the download is given up.
PATIENCE = 20.0
BLOCK = 64 * 1024
TELL_EVERY = 1 << 20


class Model(TypedDict):
    name: str
    url: str
    bytes: int
    sha256: str


def say(**facts: object) -> None:
    print(json.dumps({"pid": os.getpid(), **facts}), flush=True)


def ask(url: str) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"X-Worker": str(os.getpid())})
    answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=PATIENCE)
    return answer


def download(model: Model, temporary_path: str, lease: Lease) -> None:
    """Into a temporary file that is ours alone. Whatever it raises, nothing of it is left."""
    told = got = 0
    with ask(model["url"]) as answer, open(temporary_path, "wb") as file:
        for block in iter(lambda: answer.read1(BLOCK), b""):
            # Somebody else may be at it already: do not waste the line.
            lease.check()
            got += file.write(block)
            if got - told >= TELL_EVERY:
                told = got
                lease.progress(f"{got} of {model['bytes']} bytes")


def sha256_of(path: str | Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def bring(hf: Holdfast, model: Model, folder: Path) -> Path:
    """Its path, once it is there, whole. A failed download is tried again, by us or by whoever waits behind us."""
    path = folder / model["name"]
    for attempt in range(1, TRIES + 1):
        try:
            found = hf.once(
                f"models/{model['name']}",
                path,
                lambda temporary_path, lease: download(model, temporary_path, lease),
                verify=lambda temporary_path: sha256_of(temporary_path) == model["sha256"],
                ttl=TTL,
            )
            say(model=model["name"], made=found.made, token=str(found.token), attempt=attempt)
            return path
        except (OSError, http.client.HTTPException, FencingError, HoldfastError) as error:
            say(model=model["name"], failed=f"{type(error).__name__}: {error}", attempt=attempt)
            time.sleep(random.uniform(0.05, 0.2) * attempt)
    raise SystemExit(f"{model['name']} could not be had in {TRIES} tries")


def main(manifest_url: str, folder: Path) -> None:
    with ask(manifest_url) as answer:
        models: list[Model] = json.load(answer)["models"]
    # Each in an order of its own, so that the workers share the work.
    random.shuffle(models)
    with Holdfast(os.environ.get("HOLDFAST_ADDRESS", "127.0.0.1:7420")) as hf:
        say(started=True)
        for model in models:
            path = bring(hf, model, folder)
            if sha256_of(path) != model["sha256"]:
                raise SystemExit(f"{path} is not what the manifest says; remove it and run again")
    say(done=len(models))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
