"""A page in a real browser: what it asks for, what it complains of, what it shows."""

import asyncio
import base64
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --remote-debugging-port=0"
).split()


@dataclass
class Seen:
    """What a browser saw of a page.

    Attributes
    ----------
    requests : list of str
        Addresses that it asked for, but those of the page itself and of what stands in it.
    complaints : list of str
        Errors and warnings of its console.
    answers : dict of str to value
        Of the questions that it was asked.
    screenshot : bytes
        The whole page, as PNG.
    """

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    screenshot: bytes = b""


def look_at(page: Path, *, width: int, scheme: str, questions: Mapping[str, str]) -> Seen:
    """Open a page.

    Parameters
    ----------
    page : Path
        An HTML file.
    width : int
        Of the window, in pixels.
    scheme : str
        ``light`` or ``dark``.
    questions : mapping of str to str
        JavaScript expressions, by name.
    """
    assert CHROMIUM
    with tempfile.TemporaryDirectory() as folder:
        command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder}", "about:blank"]
        browser = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert browser.stderr
            for line in browser.stderr:
                if found := re.search(r"ws://127\.0\.0\.1:(\d+)/", line):
                    break
            else:
                raise AssertionError("the browser did not start")
            return asyncio.run(_look(found[1], page, width, scheme, questions))
        finally:
            browser.terminate()
            browser.wait(timeout=30)


async def _look(port: str, page: Path, width: int, scheme: str, questions: Mapping[str, str]) -> Seen:
    seen, loaded, answers, number = Seen(), asyncio.Event(), {}, 0
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
            tabs = await response.json()
        address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        async with session.ws_connect(address, max_msg_size=0) as socket:

            async def listen() -> None:
                async for message in socket:
                    said = json.loads(message.data)
                    match said.get("method"):
                        case "Network.requestWillBeSent":
                            url = said["params"]["request"]["url"]
                            if not url.startswith("data:") and url != page.as_uri():
                                seen.requests.append(url)
                        case "Log.entryAdded":
                            seen.complaints.append(said["params"]["entry"]["text"])
                        case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled":
                            seen.complaints.append(json.dumps(said["params"]))
                        case "Page.loadEventFired":
                            loaded.set()
                        case None:
                            answers[said["id"]].set_result(said)

            async def ask(method: str, **params: Any) -> dict[str, Any]:
                nonlocal number
                number += 1
                answers[number] = asyncio.get_running_loop().create_future()
                await socket.send_json({"id": number, "method": method, "params": params})
                answer = await asyncio.wait_for(answers[number], 60)
                assert "result" in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

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
                answer = await ask("Runtime.evaluate", expression=question, returnByValue=True)
                seen.answers[name] = answer["result"].get("value")
            shot = await ask("Page.captureScreenshot", captureBeyondViewport=True)
            seen.screenshot = base64.b64decode(shot["data"])
            listening.cancel()
    return seen
