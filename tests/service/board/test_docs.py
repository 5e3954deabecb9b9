"""The page /docs works under its policy, with nothing of other hosts."""

from __future__ import annotations

from tests.service.board.conftest import Browser
from tests.service.conftest import StartService


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
