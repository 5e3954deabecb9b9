"""The box of the board: it asks as any client would, and shows what it is told as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from service.board import history
from tests.service.board.conftest import Browser
from tests.service.conftest import StartService, write_repository
from tests.tiny import card, write_model

HOSTILE = "<img src=x onerror=window.hurt=1>"
# An emoji is one code point and two of JavaScript's units; offsets count the former.
DOCUMENT = (
    "One 😀 sentence about a film 😀😀. The term of the contract is good. A bad film, a bad film. "
    "The contract is a contract."
)


@pytest.fixture(autouse=True)
def _quick_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SAMPLE_SECONDS", 0.5)


def open_box(browser: Browser, url: str) -> None:
    browser.open(url)
    browser.until(lambda: browser.texts("#trial-model option"))


def fill(browser: Browser, model: str, text: str) -> None:
    """Choose a model and put a text in, as a user's hands would leave them."""
    browser.driver.execute_script(
        "const [model, text] = arguments;"
        "const select = document.getElementById('trial-model');"
        "select.value = model; select.dispatchEvent(new Event('change'));"
        "document.getElementById('trial-text').value = text;",
        model,
        text,
    )


def ask(browser: Browser, model: str, text: str) -> str:
    """Ask, and wait for what the box shows then."""
    fill(browser, model, text)
    browser.driver.execute_script("document.getElementById('answer').replaceChildren()")
    browser.find("#trial [type=submit]").click()
    browser.until(lambda: browser.texts("#answer > *"))
    return browser.find("#answer").text


def test_a_text_is_labelled(browser: Browser, start_service: StartService) -> None:
    service = start_service()
    open_box(browser, service.url)
    options = browser.texts("#trial-model option")
    assert options == ["sentiment", "topics", "contracts", "general"]
    shown = ask(browser, "sentiment", "a good film")
    body = {"input": "a good film"}
    (expected,) = service.post("/v1/classify", body).json()["results"]
    assert browser.texts("#answer h3") == [expected["label"]]
    assert browser.texts("#answer dt") == [item["label"] for item in expected["scores"]]
    percents = [f"{100 * item['score']:.1f} %" for item in expected["scores"]]
    assert browser.texts("#answer dd.figure") == percents
    assert "sentiment, version 1; 5 tokens" in shown
    assert "infer" in shown  # the stages, from Server-Timing
    assert not browser.find("#trial-limit").is_displayed()


@pytest.mark.parametrize("model", ["contracts", "general"])
def test_a_summary_is_marked_in_its_source(
    browser: Browser, start_service: StartService, model: str
) -> None:
    service = start_service()
    open_box(browser, service.url)
    ask(browser, model, DOCUMENT)
    body = {"input": DOCUMENT, "model": model, "max_sentences": 3}
    (expected,) = service.post("/v1/summarize", body).json()["results"]
    sentences = [DOCUMENT[item["start"] : item["end"]] for item in expected["sentences"]]
    assert browser.texts("#answer mark") == browser.texts("#answer li") == sentences
    assert browser.texts("#answer .source") == [DOCUMENT]
    browser.find("#trial-sentences").clear()
    browser.find("#trial-sentences").send_keys("1")
    ask(browser, model, DOCUMENT)
    assert len(browser.texts("#answer mark")) == 1


def test_the_examples_choose_a_model_of_their_task(
    browser: Browser, start_service: StartService
) -> None:
    open_box(browser, start_service().url)
    chosen = "return document.getElementById('trial-model').value"
    browser.find("[data-example=contract]").click()
    assert browser.driver.execute_script(chosen) == "contracts"
    browser.find("#trial [type=submit]").click()
    browser.until(lambda: len(browser.texts("#answer mark")) == 3)
    browser.find("[data-example=review]").click()
    assert browser.driver.execute_script(chosen) == "sentiment"
    browser.find("#trial [type=submit]").click()
    browser.until(lambda: browser.texts("#answer .bars"))


def test_a_choice_stays_while_numbers_come_in(
    browser: Browser, start_service: StartService
) -> None:
    open_box(browser, start_service().url)
    fill(browser, "general", "half a sen")
    browser.fetched()
    browser.until(lambda: any(url.endswith("/v1/board") for url in browser.fetched()))
    values = "return ['trial-model', 'trial-text'].map(id => document.getElementById(id).value)"
    assert browser.driver.execute_script(values) == ["general", "half a sen"]


def test_problems_are_shown_in_their_words(browser: Browser, start_service: StartService) -> None:
    service = start_service(max_text_bytes=2000)
    open_box(browser, service.url)
    shown = ask(browser, "sentiment", "  ")
    assert "422: A field is not valid" in shown
    assert "input.0: is blank" in shown
    shown = ask(browser, "sentiment", "good " * 500)
    assert "413: The request is over a limit" in shown
    assert "2500 bytes; at most 2000 are taken" in shown
    service.triton.failure = (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
    shown = ask(browser, "sentiment", "good")
    assert "429: It would not be answered in time" in shown
    assert "Try again after 1 s." in shown
    assert "Request id: " in shown
    service.triton.failure = (grpc.StatusCode.INTERNAL, "broken")
    assert "503: The model server failed" in ask(browser, "topics", "good")
    service.triton.failure = None
    service.triton.delay_seconds = 0.5
    browser.offline(True)
    assert "The service cannot be reached from here." in ask(browser, "topics", "good")


def test_more_time_lets_it_travel_as_bulk(browser: Browser, start_service: StartService) -> None:
    # So little that no machine keeps it.
    service = start_service(interactive_timeout_ms=0.01, late_answer_ms=0)
    open_box(browser, service.url)
    assert ask(browser, "sentiment", "good").startswith(("504", "429"))
    browser.find("#trial-patient").click()
    assert ask(browser, "sentiment", "good").startswith("positive")


def test_a_key_is_asked_for_and_kept_nowhere(browser: Browser, start_service: StartService) -> None:
    open_box(browser, start_service(api_keys=("hunter2",)).url)
    key = browser.until(lambda: browser.find("#trial-key"))
    assert key.is_displayed()
    assert "401: A valid API key is needed" in ask(browser, "sentiment", "good")
    key.send_keys("ключ")
    assert "printable ASCII" in ask(browser, "sentiment", "good")
    key.clear()
    key.send_keys("hunter2")
    assert "positive" in ask(browser, "sentiment", "good")
    kept = "return document.cookie + JSON.stringify({...localStorage, ...sessionStorage})"
    assert browser.driver.execute_script(kept) == "{}"
    browser.driver.refresh()
    browser.until(lambda: browser.texts("#trial-model option"))
    assert browser.find("#trial-key").get_attribute("value") == ""


def test_without_keys_none_is_asked_for(browser: Browser, start_service: StartService) -> None:
    open_box(browser, start_service().url)
    assert not browser.find("#trial-key").is_displayed()


def test_what_comes_from_outside_is_text(
    browser: Browser, start_service: StartService, tmp_path: Path
) -> None:
    write_repository(tmp_path)
    write_model(tmp_path, card(HOSTILE, version="1", description=HOSTILE))
    labels = [HOSTILE, "</script><script>window.hurt=1</script>"]
    write_model(tmp_path, card("labels", labels=labels))
    service = start_service(repository=tmp_path)
    # The fake Triton knows neither: one is silent, and an alarm; the other is taught.
    service.triton.models["labels"] = service.triton.models["sentiment"]
    open_box(browser, service.url)
    assert HOSTILE in browser.texts("#models tbody th")
    browser.until(lambda: HOSTILE in browser.find("#alarms").text)
    unknown = f"{HOSTILE} not served"
    browser.driver.execute_script(
        "document.getElementById('trial-model').add(new Option(arguments[0]))", unknown
    )
    assert HOSTILE in ask(browser, unknown, "good")  # the problem names what was asked for
    assert HOSTILE in ask(browser, "labels", "good")  # the labels
    ask(browser, "contracts", f"{HOSTILE}. A film. The term.")
    assert browser.texts("#answer .source") == [f"{HOSTILE}. A film. The term."]
    foreign: Any = browser.driver.execute_script(
        "return [document.querySelectorAll('img, script:not([src])').length, window.hurt]"
    )
    assert foreign == [0, None]
