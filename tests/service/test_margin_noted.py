"""What the margin learned in an outage is forgotten with it."""

from __future__ import annotations

from service.margin import Margin


def test_it_goes_back_to_what_it_was_when_all_was_well() -> None:
    margin = Margin(4.0)
    margin.observe(50.0, 50.0)
    before = margin.ms(50.0, 1000.0)
    margin.note()
    for _ in range(20):
        margin.observe(100.0, 50.0)
    assert margin.ms(50.0, 1000.0) > before
    margin.back()
    assert margin.ms(50.0, 1000.0) == before
