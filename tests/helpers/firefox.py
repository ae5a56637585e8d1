"""Firefox as Debian builds it, driven through WebDriver BiDi.

Playwright needs a newer Firefox than this one. The protocol is a W3C standard, and sends
JSON through a WebSocket: https://w3c.github.io/webdriver-bidi/
"""

import asyncio
import json
import subprocess
import threading
import time
from itertools import count

import aiohttp

WAIT = 60  # seconds for an answer


class Firefox:
    """A browser with one page; errors and messages of its console are in `seen`.

    Args:
        path: The program.
        profile: A folder for its profile, which is created.
        width: Of the page, in pixels.
        height: Of the page, in pixels.
    """

    def __init__(self, path, profile, width=1280, height=900):
        profile.mkdir()
        command = (path, "--headless", "--remote-debugging-port=0", "--profile", profile)
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, **silent)
        listening = profile / "WebDriverBiDiServer.json"
        for _ in range(10 * WAIT):
            if listening.exists() and listening.stat().st_size:
                break
            time.sleep(0.1)
        server = json.loads(listening.read_text())
        address = f"ws://{server['ws_host']}:{server['ws_port']}"
        # In a thread, because Playwright may already run a loop in this one.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._session = self._run(self._connect(address))
        self._ids, self.seen = count(1), []
        self.send("session.new", capabilities={})
        self.send(
            "session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"]
        )
        self._page = self.send("browsingContext.getTree")["contexts"][0]["context"]
        self.resize(width, height)

    async def _connect(self, address):
        session = aiohttp.ClientSession()
        self._socket = await session.ws_connect(f"{address}/session", max_msg_size=0)
        return session

    def send(self, method, **params):
        """Send a command and return its result; raise `RuntimeError` if it fails."""
        message = {"id": next(self._ids), "method": method, "params": params}
        return self._run(self._answer(message))

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT)

    async def _answer(self, message):
        await self._socket.send_json(message)
        while True:
            answer = json.loads(await self._socket.receive_str())
            if answer.get("type") == "event":
                text = answer["params"].get("text") or answer["params"]["request"]["url"]
                self.seen.append(text)
            elif answer.get("id") == message["id"]:
                if answer["type"] == "error":
                    raise RuntimeError(f"{message['method']}: {answer['message']}")
                return answer["result"]

    def resize(self, width, height):
        """Give the page another size, in pixels."""
        viewport = {"width": width, "height": height}
        self.send("browsingContext.setViewport", context=self._page, viewport=viewport)

    def goto(self, address):
        """Open a report page and wait until it is ready."""
        self.send(
            "browsingContext.navigate", context=self._page, url=address, wait="complete"
        )
        self.until("'ready' in document.documentElement.dataset")

    def until(self, expression):
        """Wait until a JavaScript expression is true."""
        for _ in range(10 * WAIT):
            if self.evaluate(expression):
                return
            time.sleep(0.1)
        raise TimeoutError(expression)

    def evaluate(self, expression):
        """Return the value of a JavaScript expression, which JSON must be able to hold."""
        answer = self.send(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression})) ?? 'null')()",
            target={"context": self._page},
            awaitPromise=True,
            userActivation=True,
        )
        if answer["type"] == "exception":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    def draw(self, points):
        """Press the mouse at the first point of the page, move through all, release it.

        Args:
            points: Pairs of x and y, in pixels from the top left of what is in view.
        """
        moves = [{"type": "pointerMove", "x": int(x), "y": int(y)} for x, y in points]
        down, up = ({"type": f"pointer{name}", "button": 0} for name in ("Down", "Up"))
        actions = [moves[0], down, *moves[1:], up]
        self._act({"type": "pointer", "id": "mouse", "actions": actions})

    def press(self, *keys):
        """Press and release each key; special keys have code points in the standard."""
        strokes = (
            {"type": f"key{way}", "value": k} for k in keys for way in ("Down", "Up")
        )
        self._act({"type": "key", "id": "keyboard", "actions": list(strokes)})

    def _act(self, source):
        self.send("input.performActions", context=self._page, actions=[source])

    def close(self):
        """End the browser."""
        self._run(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._process.terminate()
        self._process.wait(WAIT)
