"""Open a page in a real browser, and see its requests, its console and its answers to questions."""

import asyncio
import base64
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Questions: the first loads the rules of the Web Content Accessibility Guidelines, the second asks which are broken.
LOAD_AXE = (resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8") + ";true"
VIOLATIONS = (
    "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']}).then(result => result.violations"
    ".map(rule => `${rule.id}: ${rule.nodes.map(node => node.html.slice(0, 200)).join(' | ')}`))"
)
# Codes of keys, and what they type.
KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Escape": (27, ""), "ArrowDown": (40, "")}
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --remote-debugging-port=0"
).split()


@dataclass
class View:
    """A page as a browser shows it.

    Attributes
    ----------
    requests : list of str
        URLs that the page requests, other than its own and data URLs.
    complaints : list of str
        Errors and warnings of the console.
    answers : dict of str to value
        Answers to the questions.
    screenshot : bytes
        The whole page, as PNG.
    """

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    screenshot: bytes = b""


def look_at(page: Path, *, width: int, scheme: str, questions: Mapping[str, str]) -> View:
    """Open a page.

    Parameters
    ----------
    page : Path
        An HTML file.
    width : int
        Width of the window in pixels.
    scheme : str
        ``light`` or ``dark``.
    questions : mapping of str to str
        JavaScript expressions by name; ``key:`` and a name, such as Tab, presses that key.
    """
    assert CHROMIUM
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder}", "about:blank"]
        browser = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert browser.stderr
            for line in browser.stderr:
                if match := re.search(r"ws://127\.0\.0\.1:(\d+)/", line):
                    break
            else:
                raise AssertionError("the browser did not start")
            return asyncio.run(_look(match[1], page, width, scheme, questions))
        finally:
            browser.terminate()
            browser.wait(timeout=30)


async def _look(port: str, page: Path, width: int, scheme: str, questions: Mapping[str, str]) -> View:
    replies: dict[int, asyncio.Future[Any]] = {}
    view, loaded, number = View(), asyncio.Event(), 0
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
            tabs = await response.json()
        url = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        async with session.ws_connect(url, max_msg_size=0) as socket:

            async def listen() -> None:
                async for message in socket:
                    event = json.loads(message.data)
                    match event.get("method"):
                        case "Network.requestWillBeSent":
                            requested = event["params"]["request"]["url"]
                            if not requested.startswith("data:") and requested != page.as_uri():
                                view.requests.append(requested)
                        case "Log.entryAdded":
                            view.complaints.append(event["params"]["entry"]["text"])
                        case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled":
                            view.complaints.append(json.dumps(event["params"]))
                        case "Page.loadEventFired":
                            loaded.set()
                        case None:
                            replies[event["id"]].set_result(event)

            async def ask(method: str, **params: Any) -> dict[str, Any]:
                nonlocal number
                number += 1
                replies[number] = asyncio.get_running_loop().create_future()
                await socket.send_json({"id": number, "method": method, "params": params})
                reply = await asyncio.wait_for(replies[number], 60)
                assert "result" in reply, reply
                result: dict[str, Any] = reply["result"]
                return result

            async def press(key: str) -> None:
                code, text = KEYS[key]
                for kind in ("keyDown", "keyUp"):
                    typed = {"text": text} if text and kind == "keyDown" else {}
                    await ask(
                        "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **typed
                    )

            listening = asyncio.create_task(listen())
            for domain in ("Network", "Log", "Runtime", "Page"):
                await ask(f"{domain}.enable")
            await ask(
                "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
            )
            await ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            await ask("Page.navigate", url=page.as_uri())
            await asyncio.wait_for(loaded.wait(), 60)
            for name, question in questions.items():
                if question.startswith("key:"):
                    await press(question.removeprefix("key:"))
                    continue
                reply = await ask("Runtime.evaluate", expression=question, returnByValue=True, awaitPromise=True)
                view.answers[name] = reply["result"].get("value")
            capture = await ask("Page.captureScreenshot", captureBeyondViewport=True)
            view.screenshot = base64.b64decode(capture["data"])
            listening.cancel()
    return view
