"""A headless Chromium that is driven as a person would: keys go in, what is shown comes out.

It speaks the DevTools protocol over a pair of pipes, so nothing listens on a port and no package is needed.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

KEYS = {"Enter": 13, "ArrowDown": 40, "ArrowUp": 38, "Tab": 9}


class PageReplacedError(Exception):
    """The page went away while it was asked: a link was followed."""


class Browser:
    """One page. ``requests`` are the addresses that it asked for, ``complaints`` what its console says."""

    def __init__(self, program: str, profile: Path, width: int = 1280, height: int = 900) -> None:
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        command = [
            *(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
            *("--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"),
        ]
        shell = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'  # the numbers that the browser reads and writes
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._number, self._pending, self._session = 0, b"", ""
        self.requests: list[str] = []
        self.complaints: list[str] = []
        [page] = [one for one in self._send("Target.getTargets")["targetInfos"] if one["type"] == "page"]
        attached = self._send("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")
        self.resize(width, height)

    def close(self) -> None:
        """End the browser."""
        os.close(self._out)
        os.close(self._in)
        self._process.kill()
        self._process.wait()

    def open(self, address: str) -> None:
        """Go to an address and wait until the page is there."""
        self._send("Page.navigate", url=address)
        self.wait("document.readyState == 'complete' && location.href != 'about:blank'")

    def type(self, text: str) -> None:
        """Type text where the focus is, character by character."""
        for character in text:
            self._send("Input.dispatchKeyEvent", type="keyDown", text=character, key=character)
            self._send("Input.dispatchKeyEvent", type="keyUp", key=character)

    def press(self, key: str) -> None:
        """Press a key that has a name."""
        code = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self._send("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        self._send("Input.dispatchKeyEvent", type="keyUp", **code)

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page; None where the page is just being replaced by another."""
        try:
            return self._send("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")
        except PageReplacedError:
            return None

    def wait(self, script: str, seconds: float = 30) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(script):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.02)

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """The size of the window, and whether the page is to be dark."""
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        """Save the whole page as PNG."""
        path.parent.mkdir(exist_ok=True)
        self.wait("innerWidth > 0 && document.documentElement.scrollWidth > 0")  # a new page has its size late
        data = self._send("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "navigated or closed" in answer.get("error", {}).get("message", ""):
                    raise PageReplacedError(answer)
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._notice(answer)

    def _notice(self, event: dict[str, Any]) -> None:
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._pending:
            part = os.read(self._in, 1 << 20)
            assert part, "the browser has ended"
            self._pending += part
        message, self._pending = self._pending.split(b"\0", 1)
        event: dict[str, Any] = json.loads(message)
        return event
