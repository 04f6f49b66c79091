"""Headless Chromium over its debugging pipe: opens a page from disk, reports what it says and fetches, takes pictures.

Only the standard library: the DevTools protocol is JSON, ended by a zero byte, on file descriptors 3 and 4.
"""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_SECONDS = 120  # a busy machine; only a browser that hangs gets there
# The child puts its end of the pipes on 3 and 4, where Chromium expects them.
LAUNCH = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execvp(sys.argv[3], sys.argv[3:])"
)


def find() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Seen:
    """What happened while a page was open."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


class Browser:
    def __init__(self, profile: Path) -> None:
        self._log = (profile.parent / "chromium.log").open("wb")
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        switches = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
            "--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-component-update",
            "--hide-scrollbars", f"--user-data-dir={profile}",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(to_read), str(to_write), find(), *switches],
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer, self._number, self._events = b"", 0, []

    def close(self) -> None:
        with contextlib.suppress(OSError, AssertionError):
            self.call("Browser.close")
        for end in (self._write, self._read):
            os.close(end)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def call(self, method: str, session: str | None = None, **parameters: object) -> dict:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        os.write(self._write, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._events.append(message)

    def _next(self) -> dict:
        end = time.monotonic() + PATIENCE_SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"Chromium has said nothing for {PATIENCE_SECONDS} s"
            more = os.read(self._read, 1 << 20)
            assert more, f"Chromium has gone: {Path(self._log.name).read_text(errors='replace')[-2000:]}"
            self._buffer += more
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    @contextlib.contextmanager
    def page(self, path: Path):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, path)
        try:
            yield page
        finally:
            self.call("Target.closeTarget", targetId=target)
            self._events.clear()

    def events(self, session: str) -> list[dict]:
        return [event for event in self._events if event.get("sessionId") == session]


class Page:
    """One tab. `open` waits until the page says that its charts are drawn, or have failed."""

    def __init__(self, browser: Browser, session: str, path: Path) -> None:
        self._browser, self._session, self._path = browser, session, path
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict:
        return self._browser.call(method, self._session, **parameters)

    def look(self, width: int, height: int, *, dark: bool = False, phone: bool = False, media: str = "") -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[feature])

    def open(self, *, scripts: bool = True) -> None:
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        loads = self._loads()
        self.call("Page.navigate", url=self._path.as_uri())
        end = time.monotonic() + PATIENCE_SECONDS
        while self._loads() == loads:
            assert time.monotonic() < end, f"not loaded within {PATIENCE_SECONDS} s: {self._path}"
            time.sleep(0.05)
        if scripts:
            settled = "document.readyState === 'complete' && !!document.documentElement.dataset.charts"
            self.wait(settled)

    def _loads(self) -> int:
        self.call("Page.getFrameTree")  # takes in the events before its answer
        return sum(event["method"] == "Page.loadEventFired" for event in self._browser.events(self._session))

    def wait(self, condition: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.run(condition):
            assert time.monotonic() < end, f"not within {PATIENCE_SECONDS} s: {condition}"
            time.sleep(0.05)

    def run(self, expression: str) -> object:
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self) -> bytes:
        """The whole page as PNG."""
        return base64.b64decode(
            self.call("Page.captureScreenshot", captureBeyondViewport=True, optimizeForSpeed=True)["data"]
        )

    def seen(self) -> Seen:
        """Errors on the console and requests that are not for the file itself or for data in it."""
        found = Seen()
        for event in self._browser.events(self._session):
            parameters = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                found.errors.append(details.get("exception", {}).get("description", details["text"]))
            elif event["method"] == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
                found.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in parameters["args"]))
            elif event["method"] == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                found.errors.append(parameters["entry"]["text"])
            elif event["method"] == "Network.requestWillBeSent":
                url = parameters["request"]["url"]
                if url != self._path.as_uri() and not url.startswith("data:"):
                    found.requests.append(url)
        return found
