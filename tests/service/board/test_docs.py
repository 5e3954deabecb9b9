"""The page /docs works under its policy, with nothing of other hosts."""

from __future__ import annotations

from pathlib import Path

from service.keys.line import line_of
from tests.service.board.conftest import Browser
from tests.service.conftest import StartService
from tests.service.keys.test_store import write


def test_the_documentation_runs_under_its_policy(
    browser: Browser, start_service: StartService
) -> None:
    url = start_service().url
    browser.open(f"{url}/docs")
    browser.until(lambda: "/v1/classify" in "".join(browser.texts(".opblock-summary-path")))
    browser.find("[id='operations-sub50-classify_v1_classify_post'] button").click()
    browser.until(lambda: browser.texts(".try-out__btn"))
    browser.find(".try-out__btn").click()
    browser.find(".execute").click()
    shown = browser.until(
        lambda: "".join(browser.texts(".live-responses-table .response-col_status"))
    )
    assert "200" in shown
    assert browser.complaints() == []
    assert all(address.startswith((url, "data:")) for address in browser.fetched())


def test_closed_pages_have_the_browser_ask_for_the_key(
    browser: Browser, start_service: StartService, tmp_path: Path
) -> None:
    managers = write(tmp_path / "managers", line_of("root", "m"))
    service = start_service(management_keys_file=managers, closed_pages=("board", "docs"))
    browser.open(service.url)
    assert not browser.texts("#models")
    # What a person types into the browser's own box; kept for the address from then on.
    browser.open(service.url.replace("//", "//x:m@"))
    browser.open(service.url)
    browser.until(lambda: browser.texts("#models tbody th"))
    browser.open(f"{service.url}/docs")
    browser.until(lambda: browser.texts(".opblock-summary-path"))
