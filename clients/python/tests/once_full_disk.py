"""Fills a tiny disk under `once`, then makes a file that fits; says what each came to."""

from __future__ import annotations

import os
import pathlib
import sys

from holdfast_client import Holdfast
from holdfast_client.fencing import PublishError
from holdfast_client.once import once

ADDRESS, KEY, PATH = sys.argv[1:]
hf = Holdfast(ADDRESS)
try:
    once(hf, KEY, PATH, lambda file, _: pathlib.Path(file).write_bytes(bytes(1 << 20)))
except PublishError as error:
    print(f"{type(error).__name__}: {error}")
    assert isinstance(error.__cause__, OSError)
    print(f"caused by errno {error.__cause__.errno}")
print(os.listdir(os.path.dirname(PATH)))
result = once(hf, KEY, PATH, lambda file, _: pathlib.Path(file).write_text("small"))
print(f"then made: {result.made}")
hf.close()
