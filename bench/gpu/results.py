"""The results of a run so far, and the file that keeps them: a run that was cut short goes on where it stopped."""

import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


class Run:
    """Steps that must pass, and measurements of several kinds, each with a key of its own."""

    def __init__(self, path: Path, about: dict[str, Any], kinds: Sequence[str], fresh: bool, minutes: float) -> None:
        """about: what the results are of, the commit among it. An earlier run of something else is not gone on with."""
        self.path, self.until = path, time.monotonic() + 60 * minutes
        self.result: dict[str, Any] = {**about, "steps": {}, **{kind: [] for kind in kinds}}
        if path.exists() and not fresh:
            earlier = json.loads(path.read_text(encoding="utf-8"))
            if all(earlier.get(key) == value for key, value in about.items()):
                self.result = earlier
        self.result["failed"] = []  # is tried again
        path.parent.mkdir(parents=True, exist_ok=True)

    def is_late(self) -> bool:
        """Whether nothing more is to be begun."""
        return time.monotonic() > self.until

    def save(self) -> None:
        """All or nothing: a run may be ended at any moment."""
        beside = self.path.with_suffix(".part")
        beside.write_text(json.dumps(self.result, indent=1) + "\n", encoding="utf-8")
        beside.replace(self.path)

    def step(self, name: str, do: Callable[[], dict[str, Any]]) -> bool:
        """Does a step that has not passed yet; whether it has now."""
        done = self.result["steps"].get(name, {})
        if not done.get("ok"):
            try:
                done = do()
            except Exception:
                done = {"ok": False, "tail": traceback.format_exc()[-2000:]}
            self.result["steps"][name] = done
            self.save()
            print(f"{name}: {'ok' if done['ok'] else 'FAILED'}", flush=True)
            if not done["ok"]:
                print(json.dumps(done, indent=1)[-3000:], file=sys.stderr, flush=True)
        return bool(done["ok"])

    def measure(self, kind: str, key: dict[str, Any], do: Callable[[], dict[str, Any]]) -> None:
        """Measures what is not there yet, while there is time. What fails is told, and the rest goes on."""
        known = any(all(found.get(k) == v for k, v in key.items()) for found in self.result[kind])
        if known or self.is_late():
            return
        try:
            self.result[kind].append(do())
            print(kind, *key.values(), *(f"{self.result[kind][-1].get('ratio', ''):.4}",), flush=True)
        except Exception:
            self.result["failed"].append({"kind": kind, **key, "tail": traceback.format_exc()[-2000:]})
            print(kind, *key.values(), "FAILED", self.result["failed"][-1]["tail"], file=sys.stderr, flush=True)
        self.save()
