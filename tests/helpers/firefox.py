"""Firefox as Debian builds it, driven through WebDriver BiDi.

Playwright needs a newer Firefox than this one. The protocol is a W3C standard, and sends
JSON through a WebSocket: https://w3c.github.io/webdriver-bidi/
"""

import asyncio
import json
import subprocess
import threading
import time
from functools import partialmethod
from itertools import count

import aiohttp

WAIT = 60  # seconds for an answer

# The standard's names of keys: https://w3c.github.io/webdriver/#keyboard-actions
KEYS = {
    "Tab": "\ue004", "Enter": "\ue007", "Shift": "\ue008", "Escape": "\ue00c",
    "Space": " ", "End": "\ue010", "Home": "\ue011", "ArrowLeft": "\ue012",
    "ArrowUp": "\ue013", "ArrowRight": "\ue014", "ArrowDown": "\ue015",
    "Delete": "\ue017",
}  # fmt: skip


class Firefox:
    """A browser with one page; errors and messages of its console are in `seen`.

    Args:
        path: The program.
        profile: A folder for its profile, which is created.
    """

    def __init__(self, path, profile):
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
        # The first window has no focus.
        self._page = self.send("browsingContext.create", type="window")["context"]
        self.resize()

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
                if not text.startswith("data:"):
                    self.seen.append(text)
            elif answer.get("id") == message["id"]:
                if answer["type"] == "error":
                    raise RuntimeError(f"{message['method']}: {answer['message']}")
                return answer["result"]

    def resize(self, width=1280, height=900):
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

    def evaluate(self, expression, argument=None):
        """Return the value of a JavaScript expression, which JSON must be able to hold.

        A function is called with the argument. Statements may only have a simple value.
        """
        program = f"{{ {expression} }}"
        if ";" not in expression or "=>" in expression:
            given = json.dumps(argument)
            program = (
                f"(async () => {{ const value = ({expression});\n"
                f"const found = typeof value === 'function' ? value({given}) : value;"
                "return JSON.stringify(await found) ?? 'null'; })()"
            )
        answer = self.send(
            "script.evaluate",
            expression=program,
            target={"context": self._page},
            awaitPromise=True,
            userActivation=True,
        )
        if answer["type"] == "exception":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        value = answer["result"].get("value")
        return value if program.startswith("{") else json.loads(value)

    def locator(self, selector, **options):
        """Return what Playwright calls a locator, with the part of it that tests use."""
        return Locator(self, "[document]").locator(selector, **options)

    def get_by_role(self, role, *, name, exact):
        """Return the headings with this text."""
        assert (role, exact) == ("heading", True)
        return Locator(self, "[document]").locator("h1, h2, h3, h4", text=name)

    def get_by_text(self, text, *, exact):
        """Return the elements that contain this text."""
        assert not exact
        return Locator(self, "[document]").locator("*", has_text=text)

    @property
    def keyboard(self):
        """Where `press` presses a key, as in Playwright."""
        return self

    def press(self, key):
        """Press and release a key, with Playwright's name for it: "a", "Shift+Home"."""
        *held, last = (KEYS.get(part, part) for part in key.split("+"))
        strokes = [("Down", each) for each in (*held, last)]
        strokes += [("Up", each) for each in (last, *reversed(held))]
        actions = [{"type": f"key{way}", "value": value} for way, value in strokes]
        self._act({"type": "key", "id": "keyboard", "actions": actions})

    @property
    def mouse(self):
        """The mouse, as in Playwright."""
        return Mouse(self)

    def wait_for_timeout(self, milliseconds):
        """Wait."""
        time.sleep(milliseconds / 1000)

    @property
    def url(self):
        """The address."""
        return self.evaluate("location.href")

    def wait_for_url(self, pattern):
        """Wait until the address has the pattern."""
        self.until(f"/{pattern.pattern}/.test(location.href)")

    def go_back(self):
        """Go back in the history."""
        self.send("browsingContext.traverseHistory", context=self._page, delta=-1)

    def reload(self):
        """Load the page again."""
        self.send("browsingContext.reload", context=self._page, wait="complete")
        self.until("'ready' in document.documentElement.dataset")

    def act_with_mouse(self, *actions):
        """Perform actions of the standard's pointer."""
        self._act({"type": "pointer", "id": "mouse", "actions": list(actions)})

    def _act(self, source):
        self.send("input.performActions", context=self._page, actions=[source])

    def close(self):
        """End the browser."""
        self._run(self._socket.close())
        self._run(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._process.terminate()
        self._process.wait(WAIT)


class Mouse:
    """Moves and presses."""

    def __init__(self, page):
        self._page = page
        self.down = lambda: page.act_with_mouse({"type": "pointerDown", "button": 0})
        self.up = lambda: page.act_with_mouse({"type": "pointerUp", "button": 0})

    def move(self, x, y, steps=1):
        """Move to a point of what is in view, in pixels; all steps end there."""
        move = {"type": "pointerMove", "x": round(x), "y": round(y)}
        self._page.act_with_mouse(*[move] * steps)


class Locator:
    """Elements of the page, which are looked up again each time.

    Args:
        page: The browser.
        found: A JavaScript expression for the array of elements.
    """

    def __init__(self, page, found):
        self._page, self._found = page, found

    def locator(self, selector, *, text=None, has_text=None, has=None):
        """Return those inside that match, and have a text or an element inside."""
        selectors = selector.replace(":visible", "")
        tests = ["each.checkVisibility()"] if selectors != selector else []
        if text is not None:
            tests.append(f"each.textContent.trim() === {json.dumps(text)}")
        if has_text is not None:
            tests.append(f"each.textContent.includes({json.dumps(has_text)})")
        if has is not None:
            tests.append(f"({has._found}).some((inner) => each.contains(inner))")
        inside = f"each.querySelectorAll({json.dumps(selectors)})"
        found = f"[...new Set(({self._found}).flatMap((each) => [...{inside}]))]"
        condition = " && ".join(tests) or "true"
        return Locator(self._page, f"{found}.filter((each) => {condition})")

    def nth(self, index):
        """Return one of them; from the end if the index is negative."""
        return Locator(self._page, f"[({self._found}).at({index})].filter(Boolean)")

    first = property(lambda self: self.nth(0))
    last = property(lambda self: self.nth(-1))

    def all(self):
        """Return each of them."""
        return [self.nth(index) for index in range(self.count())]

    def evaluate_all(self, function):
        """Return what a JavaScript function returns for the array of elements."""
        return self._page.evaluate(f"({function})({self._found})")

    def evaluate(self, function):
        """Return what a JavaScript function returns for the only element."""
        assert self.count() == 1, self._found
        return self._page.evaluate(f"({function})(({self._found})[0])")

    def count(self):
        """Return their number."""
        return self._page.evaluate(f"({self._found}).length")

    def get_attribute(self, name):
        """Return the value of an attribute."""
        return self.evaluate(f"(each) => each.getAttribute('{name}')")

    inner_text = partialmethod(evaluate, "(each) => each.innerText")
    text_content = partialmethod(evaluate, "(each) => each.textContent")
    input_value = partialmethod(evaluate, "(each) => each.value")
    is_visible = partialmethod(evaluate, "(each) => each.checkVisibility()")
    focus = partialmethod(evaluate, "(each) => each.focus()")
    all_inner_texts = partialmethod(evaluate_all, "(all) => all.map((e) => e.innerText)")
    all_text_contents = partialmethod(
        evaluate_all, "(all) => all.map((e) => e.textContent)"
    )
    bounding_box = partialmethod(
        evaluate,
        """(each) => {
          const { x, y, width, height } = each.getBoundingClientRect();
          return { x, y, width, height };
        }""",
    )
    scroll_into_view_if_needed = partialmethod(
        evaluate,
        "(each) => each.scrollIntoView({ block: 'center', behavior: 'instant' })",
    )

    def click(self):
        """Click in the middle of the only element."""
        self.scroll_into_view_if_needed()
        box = self.bounding_box()
        mouse = self._page.mouse
        mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        mouse.down()
        mouse.up()

    check = uncheck = click

    def press(self, key):
        """Press a key while the only element has the focus."""
        self.focus()
        self._page.press(key)

    def fill(self, text):
        """Type a text instead of the value; move a slider there."""
        if self.get_attribute("type") == "range":
            self._set(text)
            return
        typed = f"document.execCommand('insertText', false, {json.dumps(text)})"
        self.evaluate(f"(each) => {{ each.focus(); each.select(); {typed}; }}")

    def select_option(self, value):
        """Choose an option, by its value."""
        self._set(value)
        assert self.input_value() == value

    def _set(self, value):
        self.evaluate(
            f"""(each) => {{
              each.value = {json.dumps(value)};
              for (const name of ["input", "change"]) {{
                each.dispatchEvent(new Event(name, {{ bubbles: true }}));
              }}
            }}"""
        )
