"""A headless Chromium that counts what pages ask for, spoken to over its own protocol."""

import contextlib
import functools
import json
import shutil
import subprocess
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # it sees what pages ask for, and asks nobody
)  # fmt: skip
PHONE = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
CUT_OFF = """(async () => {
  if (window.MathJax?.startup) await MathJax.startup.promise;
  const scrolls = (e) => e !== null && (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  const beyond = (e) => { const box = e.getBoundingClientRect(); return box.width > 0 && box.right > innerWidth + 1; };
  return [...document.querySelectorAll("article *:not(mjx-assistive-mml, mjx-assistive-mml *)")]
    .filter((e) => beyond(e) && !scrolls(e))
    .map((e) => `${e.tagName.toLowerCase()} ${e.textContent.trim().slice(0, 40)}`);
})()"""
DESK = {"width": 1400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
WIDER = """(async () => {
  if (window.MathJax?.startup) await MathJax.startup.promise;
  document.querySelectorAll("article details").forEach((part) => { part.open = true; });
  document.querySelectorAll("article .toggle-hidden").forEach((part) => part.classList.remove("toggle-hidden"));
  await new Promise((done) => setTimeout(done, 150));
  return [...document.querySelectorAll("article *:not(mjx-container *, svg *)")]
    .filter((e) => e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1)
    .filter((e) => /auto|scroll/.test(getComputedStyle(e).overflowX))
    .map((e) => `${e.tagName.toLowerCase()}: ${e.scrollWidth - e.clientWidth}px ${e.textContent.trim().slice(0, 30)}`);
})()"""
SILENCE = 0.25  # seconds without an event after which a loaded page counts as done


class Quiet(SimpleHTTPRequestHandler):
    """A file server that writes no log."""

    def log_message(self, *words):
        """Say nothing."""


@contextlib.contextmanager
def served(folder: Path):
    """Serve a folder on the loopback address and give its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Browser:
    """One browser with one page open."""

    def __init__(self, profile: Path):
        import websocket

        self.process = subprocess.Popen(
            [EXECUTABLE, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        port, path = self._wait_for(profile / "DevToolsActivePort").split()
        self.timed_out = websocket.WebSocketTimeoutException
        self.socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=30, suppress_origin=True)
        self.count, self.session = 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page"):
            self.call(f"{domain}.enable")

    def _wait_for(self, file: Path) -> str:
        for _ in range(300):
            if file.exists() and file.read_text().count("\n"):
                return file.read_text()
            time.sleep(0.1)
        self.process.kill()
        raise TimeoutError("Chromium must open its protocol within 30 seconds. It did not.")

    def call(self, method: str, **parameters) -> dict:
        """Result of one command."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        self.socket.send(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.count:
                return answer["result"]

    def requests(self, url: str, seconds: float = 30) -> list[str]:
        """Addresses that a page asks for until it has loaded and fallen silent."""
        self.count += 1
        command = {"id": self.count, "method": "Page.navigate", "params": {"url": url}, "sessionId": self.session}
        self.socket.send(json.dumps(command))
        asked, loaded, end = [], False, time.monotonic() + seconds
        self.socket.settimeout(SILENCE)
        while time.monotonic() < end:
            try:
                event = json.loads(self.socket.recv())
            except self.timed_out:
                if loaded:
                    break
                continue
            if event.get("method") in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                asked.append(event["params"].get("request", event["params"])["url"])
            loaded = loaded or event.get("method") == "Page.loadEventFired"
        self.socket.settimeout(30)
        if not loaded:
            raise TimeoutError(f"{url} must load within {seconds:g} seconds. It did not.")
        return asked

    def cut_off(self, url: str) -> list[str]:
        """What a phone's screen cuts off: parts of the article beyond its edge that nothing lets one scroll to."""
        self.call("Emulation.setDeviceMetricsOverride", **PHONE)
        self.requests(url)
        answer = self.call("Runtime.evaluate", expression=CUT_OFF, awaitPromise=True, returnByValue=True)
        return answer["result"]["value"]

    def overflowing(self, url: str) -> list[str]:
        """What is wider than its place on a desk's screen, folded parts opened: what scrolls, and what is cut off."""
        self.call("Emulation.setDeviceMetricsOverride", **DESK)
        self.requests(url)
        found = [self.call("Runtime.evaluate", expression=program, awaitPromise=True, returnByValue=True)
                 for program in (WIDER, CUT_OFF)]  # fmt: skip
        return [part for answer in found for part in answer["result"]["value"]]

    def close(self):
        """End the browser."""
        self.socket.close()
        self.process.terminate()
        self.process.wait(timeout=20)


@contextlib.contextmanager
def opened(profile: Path):
    """A browser for the length of a block."""
    browser = Browser(profile)
    try:
        yield browser
    finally:
        browser.close()


def outside(addresses: list[str]) -> list[str]:
    """Addresses that lead away from this machine."""
    parts = [(address, urlsplit(address)) for address in addresses]
    return [a for a, part in parts if part.scheme in ("http", "https", "ws", "wss") and part.hostname != "127.0.0.1"]
