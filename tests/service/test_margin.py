import math
import random

from service.margin import ALLOWED_MISSES, NEAR_MS, Margin

LONG = math.inf


def test_it_is_the_floor_while_answers_come_in_time() -> None:
    margin = Margin(4)
    for _ in range(1000):
        margin.observe(20, 50)
    assert margin.ms(50, LONG) == 4


def test_it_grows_until_misses_are_rare_and_shrinks_again() -> None:
    """Answers are late by chance unless that much of the deadline is kept free."""
    chance = random.Random(0)
    margin = Margin(4)
    misses = 0
    for request in range(20_000):
        took_ms = 50 - margin.ms(50, LONG) + chance.expovariate(1 / 2)
        margin.observe(took_ms, 50)
        misses += request >= 5_000 and took_ms > 50 - NEAR_MS
    assert misses / 15_000 < 2 * ALLOWED_MISSES
    grown = margin.ms(50, LONG)
    assert grown > 8
    for _ in range(5_000):
        margin.observe(10, 50)
    assert margin.ms(50, LONG) < grown


def test_it_never_takes_more_than_its_share_of_a_deadline() -> None:
    margin = Margin(4)
    for _ in range(1000):
        margin.observe(100, 50)
    assert margin.ms(50, LONG) == 30
    assert margin.ms(5, LONG) == 3


def test_it_is_no_larger_than_twice_the_wait_that_it_is_for() -> None:
    margin = Margin(4)
    for _ in range(1000):
        margin.observe(100, 50)
    assert margin.ms(50, wait_ms=0) == 4
    assert margin.ms(50, wait_ms=6) == 16
    assert margin.ms(50, wait_ms=12) == 28
    assert margin.ms(50, wait_ms=40) == 30
