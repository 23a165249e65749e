"""A real Chromium, as Debian packages it, and what tests do with it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.processes import wait_until
from tests.tools import lack
from tests.waiting import DEADLINE_SECONDS, NotInTimeError

WIDE, NARROW = (1280, 900), (360, 740)
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # which refuses root, as whom containers run
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
    "--lang=en-GB",
)


def missing() -> str | None:
    """Why there is no browser to test with; None: there is one."""
    lacking = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return lack(" and ".join(lacking), "apt install chromium chromium-driver") if lacking else None


class Browser:
    """One browser for many pages."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def look(self, size: tuple[int, int] = WIDE, *, dark: bool = False) -> None:
        """So large is the window, and so does the system look."""
        width, height = size
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        # Without animations a colour is what it is, and not on its way to another one.
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme, still]})

    def open(self, url: str) -> None:
        """Load a page, also one that differs in what follows the hash only."""
        self.driver.get("about:blank")
        self.driver.get(url)

    def forget(self) -> None:
        """Delete cookies, and what was logged."""
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)  # type: ignore[no-untyped-call]

    def find(self, selector: str) -> WebElement:
        """The first element that a CSS selector names. Waits until there is one: pages ask for what
        they show.
        """
        wait_until(lambda: self.driver.find_elements(By.CSS_SELECTOR, selector), what=selector)
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str = "body") -> str:
        """What an element shows; nothing when it is not there, or has just been replaced."""
        found = self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)
        return str(found)

    def texts(self, selector: str) -> list[str]:
        """What elements show."""
        return [
            str(text)
            for text in self.run(
                "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText)",
                selector,
            )
        ]

    def wait_for(self, text: str, selector: str = "body") -> None:
        """Wait until an element shows a text."""
        try:
            wait_until(lambda: text in self.text(selector), what=f"{text!r} in {selector}")
        except NotInTimeError as error:
            error.add_note(f"the page at {self.driver.current_url} shows {self.text()[:2_000]!r}")
            raise

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script on the page."""
        return self.driver.execute_script(script, *arguments)

    def keys(self, *keys: str) -> None:
        """Press keys, whatever has the focus."""
        actions = webdriver.ActionChains(self.driver)
        for key in keys:
            actions = actions.send_keys(key)
        actions.perform()

    def forget_complaints(self) -> None:
        """Delete what was logged of errors: of an answer that is one, the browser says so."""
        self.complaints()

    def complaints(self) -> list[str]:
        """What the browser had to say of errors and of violations of the policy."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")  # type: ignore[no-untyped-call]
            if entry["level"] in ("SEVERE", "WARNING")
        ]

    def requests(self) -> list[str]:
        """The addresses that pages have asked for."""
        found = []
        for entry in self.driver.get_log("performance"):  # type: ignore[no-untyped-call]
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found

    def violations(self) -> list[str]:
        """What axe finds on the page as it is now: all rules, also those of best practice."""
        if not self.run("return typeof axe === 'object'"):
            self.run(AXE.read_text(encoding="utf-8"))
        found = self.driver.execute_async_script(
            """
            const done = arguments[arguments.length - 1];
            const place = (node) => `${node.html} ${node.failureSummary}`;
            const line = (one) => `${one.id}: ${one.help}: ${one.nodes.map(place).join(" | ")}`;
            axe.run(document).then(
              (result) => done(result.violations.map(line)),
              (error) => done([String(error)]),
            );
            """
        )
        return [str(one) for one in found]


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with a fresh profile."""
    options = Options()
    binary, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    assert binary is not None
    options.binary_location = binary
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(driver_path, log_output=subprocess.DEVNULL))
    try:
        driver.set_page_load_timeout(DEADLINE_SECONDS)
        driver.set_script_timeout(DEADLINE_SECONDS)
        yield Browser(driver)
    finally:
        driver.quit()
