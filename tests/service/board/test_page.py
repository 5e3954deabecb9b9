"""The board as people see it: numbers, alarms, sizes, colours."""

from __future__ import annotations

import time
from pathlib import Path

import grpc
import pytest
from selenium.webdriver.common.keys import Keys

from service.board import history
from service.settings import Settings
from tests.service.board.conftest import Browser
from tests.service.board.contrast import LEAST_CONTRAST, poor_contrasts
from tests.service.conftest import CALM, Service, StartService, _Running

# An edge of the histogram, far enough away for a machine that is busy.
CALM_PROMISE = {"interactive_timeout_ms": 1000}


@pytest.fixture(autouse=True)
def _quick_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SAMPLE_SECONDS", 0.5)


def use(service: Service) -> None:
    """Some requests of every kind: 20 interactive with 2 refused, 3 bulk."""
    for _ in range(17):
        assert service.post("/v1/classify", {"input": ["good", "bad"]}).status_code == 200
    for _ in range(3):
        document = {"input": "A film. A term. " * 200}
        assert service.post("/v1/summarize", document).status_code == 200
    assert service.post("/v1/classify", {"input": " "}).status_code == 422
    service.triton.failure = (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
    for _ in range(2):
        assert service.post("/v1/classify", {"input": "good"}).status_code == 429
    service.triton.failure = None


def tiles(browser: Browser, panel: str) -> dict[str, str]:
    """Values of a panel's tiles by name."""
    names, values = browser.texts(f"#{panel} dt"), browser.texts(f"#{panel} dd")
    return dict(zip(names, values, strict=True)) if len(names) == len(values) else {}


def open_used(browser: Browser, service: Service, **how: object) -> None:
    """The page, once it shows what `use` did."""
    use(service)
    browser.open(service.url, **how)  # type: ignore[arg-type]
    browser.until(lambda: any("20 requests" in note for note in browser.texts("#interactive p")))
    browser.until(lambda: "4 of 4 models answer" in browser.find("#state").text)


def shown_ms(text: str) -> float:
    figure, unit = text.removeprefix("< ").split()
    return float(figure) * {"ms": 1, "s": 1000}[unit]


def test_it_shows_the_service_s_own_numbers(browser: Browser, start_service: StartService) -> None:
    service = start_service(**CALM_PROMISE)
    open_used(browser, service)
    window = service.client.get("/v1/board").json()["windows"][0]
    interactive = tiles(browser, "interactive")
    for name in ("P50", "P99"):
        expected = window["interactive"][f"{name.lower()}_ms"]
        assert shown_ms(interactive[name]) == pytest.approx(expected, abs=0.51)
    assert interactive["Over 1000 ms or failed"] == "0.0 %"
    assert interactive["Refused"] == "10.0 %"
    assert "20 requests, 1 faulty or given up" in browser.find("#interactive").text
    assert browser.find("#refused").text.split("\n") == ["Triton’s queue", "2"]
    assert browser.texts("#stages dt") == ["admit", "tokenize", "infer", "postprocess"]
    assert "3 requests" in browser.find("#bulk").text
    calls = window["calls"]
    assert f"{calls['count']} calls, {calls['mean_rows']:.1f} rows" in browser.find("#calls").text
    cells = " ".join(browser.texts("#models th, #models td"))
    assert "contracts summarize 1 int8 onnxruntime yes 0" in cells
    assert "sentiment classify 1 int8 onnxruntime yes 20" in cells


def test_the_charts_have_the_promise_and_tell_each_sample(
    browser: Browser, start_service: StartService
) -> None:
    service = start_service(**CALM_PROMISE)
    open_used(browser, service)
    assert browser.texts("#latency-chart text.promise") == ["1000 ms"]
    chart = browser.find("#latency-chart svg")
    assert "the promise is 1000 ms" in str(chart.get_attribute("aria-label"))
    browser.until(lambda: browser.texts("#latency-chart path, #latency-chart circle") != [])
    cut_off = browser.driver.execute_script(
        "const box = (e) => e.getBoundingClientRect();"
        "return Array.from(document.querySelectorAll('svg text')).filter(e =>"
        "  box(e).left < box(e.ownerSVGElement).left || box(e).right > box(e.ownerSVGElement).right"
        ").map(e => e.textContent)"
    )
    assert cut_off == []
    chart.send_keys(Keys.ARROW_LEFT)
    told = set()
    for _ in range(30):
        told.add(browser.find("#latency-chart output").text.partition(": ")[2])
        chart.send_keys(Keys.ARROW_LEFT)
    assert any("P50" in words and "P99" in words for words in told)
    browser.find("[name=window][value='600']").click()
    assert "the last 10 min" in str(chart.get_attribute("aria-label"))


def test_a_service_without_requests_shows_none(
    browser: Browser, start_service: StartService
) -> None:
    browser.open(start_service().url)
    browser.until(lambda: tiles(browser, "interactive").get("P99") == "no answers")
    assert tiles(browser, "interactive")["Rate"] == "no requests"
    assert tiles(browser, "interactive")["Refused"] == "no requests"
    assert browser.find("#refused").text == "No requests in this window."
    assert browser.texts("#interactive .good, #bulk .good") == []
    browser.until(lambda: browser.find("#latency-chart output").text.endswith("no answers"))


def test_nothing_comes_from_elsewhere_and_nothing_complains(
    browser: Browser, start_service: StartService
) -> None:
    service = start_service(**CALM_PROMISE)
    open_used(browser, service)
    browser.find("[data-example=contract]").click()
    browser.find("#trial [type=submit]").click()
    browser.until(lambda: browser.texts("#answer mark"))
    assert browser.complaints() == []
    asked = browser.fetched()
    assert f"{service.url}/v1/board" in asked
    assert {address for address in asked if not address.startswith(f"{service.url}/")} == set()


@pytest.mark.parametrize("width", [320, 390, 768])
def test_narrow_screens_need_no_scrolling_sideways(
    browser: Browser, start_service: StartService, width: int
) -> None:
    service = start_service(**CALM_PROMISE)
    open_used(browser, service, width=width)
    browser.find("#trial-text").send_keys("good" * 80)
    browser.find("#trial [type=submit]").click()
    browser.until(lambda: browser.texts("#answer h3"))
    script = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    scroll, client = browser.driver.execute_script(script)
    assert scroll == client <= width
    outside = browser.driver.execute_script(
        "const edge = document.documentElement.clientWidth + 1;"
        "return Array.from(document.querySelectorAll('main *:not(thead, thead *)'))"
        ".filter(e => e.getBoundingClientRect().right > edge)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert outside == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(
    browser: Browser, start_service: StartService, scheme: str
) -> None:
    service = start_service(readiness_seconds=0.05, **CALM_PROMISE)
    open_used(browser, service, scheme=scheme)
    browser.find("[data-example=contract]").click()
    browser.find("#trial [type=submit]").click()
    browser.until(lambda: browser.texts("#answer mark"))
    looked_at, poor = poor_contrasts(browser.driver)
    assert looked_at > 60
    assert poor == []
    service.triton.failure = (grpc.StatusCode.INTERNAL, "broken")
    browser.find("#trial [type=submit]").click()
    browser.until(lambda: browser.texts("#answer .problem"))
    browser.until(lambda: len(browser.texts("#alarms .alarm")) == 4)
    assert poor_contrasts(browser.driver)[1] == []
    background = "return getComputedStyle(document.body).backgroundColor"
    shade = browser.driver.execute_script(background)
    assert shade == {"light": "rgb(244, 245, 247)", "dark": "rgb(16, 19, 23)"}[scheme]
    assert LEAST_CONTRAST == 4.5


def test_a_triton_that_is_down_is_said_so(browser: Browser, start_service: StartService) -> None:
    service = start_service(readiness_seconds=0.05)
    # A Triton that says nothing of itself lives where a model answers; so none does here.
    service.triton.live, service.triton.failure = False, (grpc.StatusCode.INTERNAL, "broken")
    browser.open(service.url)
    browser.until(lambda: "Triton does not answer" in browser.find("#alarms").text)
    service.triton.live = True
    browser.until(lambda: "topics does not answer: Triton could" in browser.find("#alarms").text)
    assert "0 of 4 models answer" in browser.find("#state").text
    service.triton.failure = None
    browser.until(lambda: browser.texts("#alarms p") == [])


def test_numbers_are_called_old_while_the_service_is_lost(
    browser: Browser, start_service: StartService
) -> None:
    browser.open(start_service().url)
    browser.until(lambda: "Running since" in browser.find("#state").text)
    browser.offline(True)
    browser.until(lambda: "These numbers are old" in browser.find("#alarms").text)
    assert browser.find("#state").text == "Old numbers."
    browser.offline(False)
    browser.until(lambda: browser.texts("#alarms p") == [])


def test_numbers_are_called_old_where_no_sample_is_taken(
    browser: Browser, start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start_service()
    browser.open(service.url)
    browser.until(lambda: "Running since" in browser.find("#state").text)

    async def fail(_: history.History) -> None:
        raise RuntimeError("no sample")

    monkeypatch.setattr(history.History, "take", fail)
    browser.until(lambda: "takes no samples" in browser.find("#alarms").text)


def test_a_restart_is_told_apart(browser: Browser, repository: Path) -> None:
    first = _Running(Settings(port=0, repository=repository, **CALM))
    service = first.start()
    browser.open(service.url)
    browser.until(lambda: "Running since" in browser.find("#state").text)
    service.client.close()
    first.stop()
    browser.until(lambda: "cannot be reached" in browser.find("#alarms").text)
    port = int(service.url.rpartition(":")[2])
    second = _Running(Settings(port=port, repository=repository, **CALM))
    service = second.start()
    try:
        browser.until(lambda: "Restarted" in browser.find("#state").text)
        assert browser.texts("#alarms p") == []
    finally:
        service.client.close()
        second.stop()


def test_a_page_that_nobody_sees_asks_nothing(
    browser: Browser, start_service: StartService
) -> None:
    service = start_service()
    browser.open(service.url)
    browser.until(lambda: "4 of 4 models answer" in browser.find("#state").text)
    # Chromium without a window never hides a tab.
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    browser.driver.execute_script(hide % "true")
    time.sleep(0.7)  # what was asked before is over
    browser.fetched()
    time.sleep(2)
    assert browser.fetched() == set()
    browser.driver.execute_script(hide % "false")
    browser.driver.execute_script("document.dispatchEvent(new Event('visibilitychange'))")
    browser.until(lambda: f"{service.url}/v1/board" in browser.fetched())
