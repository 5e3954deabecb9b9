"""Contrast of every text of a page with what is behind it, as WCAG 2.2 defines it."""

from __future__ import annotations

from typing import Any

from selenium import webdriver

# Of normal text, by level AA.
LEAST_CONTRAST = 4.5

_LOOK = """
const least = arguments[0];
const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
function behind(element) {
  for (let e = element; e; e = e.parentElement) {
    const colour = channels(getComputedStyle(e).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
    if (colour[3] > 0) throw new Error("translucent: " + e.outerHTML.slice(0, 80));
  }
  return [255, 255, 255];
}
let looked = 0;
const poor = [];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
  const style = getComputedStyle(element);
  const ink = channels(element.namespaceURI.endsWith("svg") ? style.fill : style.color);
  const [a, b] = [light(ink), light(behind(element))].sort((x, y) => y - x);
  const contrast = (a + 0.05) / (b + 0.05);
  looked += 1;
  if (!(contrast >= least)) poor.push([texts.currentNode.data.trim().slice(0, 60), contrast]);
}
return [looked, poor];
"""


def poor_contrasts(driver: webdriver.Chrome) -> tuple[int, list[Any]]:
    """How many texts were looked at, and those with too little contrast, with what they have."""
    looked, poor = driver.execute_script(_LOOK, LEAST_CONTRAST)
    return looked, poor
