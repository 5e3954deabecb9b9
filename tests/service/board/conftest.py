"""The board in a real browser: Chromium without a window, driven through its own driver."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

NAMES = {"chromium": ("chromium", "chromium-browser"), "chromedriver": ("chromedriver",)}
HOW = "apt-get install chromium chromium-driver"
WAIT_SECONDS = 20
OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # which is refused to root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--lang=en-GB",
)


class Browser:
    """One tab, at a page of the board."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str, width: int = 1100, scheme: str = "light") -> None:
        """Load a page with nothing left of the one before; its logs begin here."""
        self.driver.get("about:blank")
        self.offline(False)
        self.resize(width)
        self.scheme(scheme)
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(url)

    def resize(self, width: int) -> None:
        """A screen that is so many CSS pixels wide; below 500 a phone's."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def scheme(self, name: str) -> None:
        """What the user's system prefers: light or dark."""
        features = [
            {"name": "prefers-color-scheme", "value": name},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def offline(self, cut: bool) -> None:
        """Cut the page off from the network, or let it back."""
        self.driver.execute_cdp_cmd("Network.enable", {})
        speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": cut, **speed})

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """Texts of all elements, as one reading: the page may be drawn anew meanwhile."""
        script = "return Array.from(document.querySelectorAll(arguments[0]), e => e.textContent)"
        return list(self.driver.execute_script(script, selector))

    def until(self, condition: Callable[[], Any]) -> Any:
        """What `condition` returns once that is true."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                if result := condition():
                    return result
            except StaleElementReferenceException:
                pass
            assert time.monotonic() < deadline, self.find("body").text
            time.sleep(0.05)

    def complaints(self) -> list[str]:
        """What the console has, since the page was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def fetched(self) -> set[str]:
        """Addresses that were asked for, since the page was opened."""
        entries = (json.loads(e["message"])["message"] for e in self.driver.get_log("performance"))
        sent = (e["params"] for e in entries if e["method"] == "Network.requestWillBeSent")
        return {params["request"]["url"] for params in sent}


@pytest.fixture(scope="session")
def chromium() -> Iterator[webdriver.Chrome]:
    """Chromium, started once.

    Without it the test is skipped, or fails where REQUIRE_CHROMIUM is set, as .ci/run does.
    """
    found = {name: next(filter(None, map(shutil.which, NAMES[name])), None) for name in NAMES}
    if missing := sorted(name for name, path in found.items() if path is None):
        reason = f"not installed: {', '.join(missing)}; {HOW}"
        if os.environ.get("REQUIRE_CHROMIUM"):
            pytest.fail(reason)
        pytest.skip(reason)
    options = webdriver.ChromeOptions()
    options.binary_location = str(found["chromium"])
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Driver(str(found["chromedriver"])))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> Iterator[Browser]:
    """The browser, at a blank page once the test ends, so that no page asks a service gone."""
    yield Browser(chromium)
    chromium.get("about:blank")
