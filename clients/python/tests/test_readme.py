"""The README's snippets are the examples, and the examples run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .service import Replica

HOME = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(path.name for path in (HOME / "examples").glob("*.py"))
SAYS = {"lock.py": "done under token", "lock_aio.py": "done under token", "guard.py": "trained under token"}


def test_every_snippet_is_an_example() -> None:
    text = (HOME / "README.md").read_text()
    snippets = dict(re.findall(r"\[examples/(\S+\.py)\]\(\S+\):\n\n```python\n(.*?)```", text, re.S))
    assert text.count("```python") == len(snippets) and set(SAYS) == set(snippets)
    for name, snippet in snippets.items():
        assert snippet == (HOME / "examples" / name).read_text(), f"examples/{name} differs from the README"


@pytest.mark.parametrize("name", sorted(SAYS))
def test_an_example_runs(name: str, replica: Replica, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(HOME / "examples" / name), replica.address],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout
    assert not (tmp_path / "incidents.jsonl").exists()
