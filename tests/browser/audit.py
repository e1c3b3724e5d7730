"""What a page must hold for everybody, asked of the browser that shows it: names, sizes, contrast
and order, as axe-core's rules and WCAG 2.2 AA have them."""

from __future__ import annotations

from typing import Any

# Each finding is a sentence; none is good.
_FINDINGS = r"""
() => {
  const found = [];
  const seen = element => element.checkVisibility({ visibilityProperty: true });
  const name = element => (element.getAttribute("aria-label") || element.textContent).trim();
  if (document.documentElement.lang !== "fr") found.push("the page has no language");
  if (!document.title.trim()) found.push("the page has no title");
  if (document.querySelectorAll("main").length !== 1) found.push("not one main");
  if (document.documentElement.scrollWidth > innerWidth)
    found.push(`wider than the screen: ${document.documentElement.scrollWidth} > ${innerWidth}`);

  const ids = [...document.querySelectorAll("[id]")].map(element => element.id);
  if (new Set(ids).size !== ids.length) found.push("an id twice");
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) found.push(`h${own} after h${level}`);
    if (!name(heading)) found.push("a heading without words");
    level = own;
  }
  if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");

  const targets = "button, a[href], summary, input:not([type=hidden])";
  for (const element of document.querySelectorAll(targets)) {
    if (!seen(element)) continue;
    const label = name(element), box = element.getBoundingClientRect();
    if (!label) found.push(`${element.tagName} without a name`);
    if (!label.startsWith(element.textContent.trim()) && element.tagName !== "A")
      found.push(`${label}: not what is written on it`);
    if (box.height < 44 || box.width < 44)
      found.push(`${label}: ${Math.round(box.width)} × ${Math.round(box.height)} px`);
    if (box.left < 0 || box.right > innerWidth + 0.5) found.push(`${label}: beyond the screen`);
  }

  const channels = text => (text.match(/[\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(value => value / 255)
    .map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !seen(element)) continue;
    const two = [channels(getComputedStyle(element).color), ground(element)].map(luminance);
    const ratio = (Math.max(...two) + 0.05) / (Math.min(...two) + 0.05);
    const words = node.textContent.trim().slice(0, 40);
    if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(2)}: ${words}`);
  }
  return found;
}
"""


def findings(page: Any) -> list[str]:
    """What is wrong with the page, for a person who hears it, has large fingers or low sight."""
    told: list[str] = page.evaluate(_FINDINGS)
    return told
