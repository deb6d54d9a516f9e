"""The page in a headless Chromium: no errors, no requests, quick at 10 and at 1,000 nodes, and what
it shows is what the report says."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sglc.codegen.plan import Plan
from sglc.explain.page import page as page_text
from sglc.explain.report import Report
from sglc.runtime.planner.facts import BatchFacts

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
# alone and offline: it would look for updates and for its maker's hosts
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
SECONDS = 4.0  # for what should take well under one, on a machine that does other things too

SMALL = """
    program judge(essay: str):
        system "You judge. </script><script>window.hacked = 1</script>"
        user "{essay}"
        fork dim in ["wit", "style"] as views:
            user "Judge its {dim}."
            assistant:
                gen review(max_tokens=16)
        let all = [v.review for v in views]
        return {"reviews": all, "number": len(all)}
"""


def unrolled(rounds: int) -> str:
    """Two nodes a round."""
    lines = ["program p(a: str):"]
    for k in range(rounds):
        lines += [f'    user "question {k}: {{a}}"', "    assistant:", f"        gen x{k}"]
    return "\n".join([*lines, ""])


@dataclass
class Shown:
    """A page on screen, and what the browser had to say."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(f"no Chromium here: none of {', '.join(NAMES)} is installed")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Shown]]:
    """Opens a report's page from disk."""
    pages: list[Page] = []

    def shown(report: Report, **options: Any) -> Shown:
        path = tmp_path / "page.html"
        path.write_text(page_text(report.page_data()), encoding="utf-8")
        page = browser.new_page(viewport={"width": 1280, "height": 900}, **options)
        pages.append(page)
        page.set_default_timeout(SECONDS * 1000)
        found = Shown(page)
        page.on("console", lambda message: found.errors.append(message.text))
        page.on("pageerror", lambda error: found.errors.append(str(error)))
        page.on("request", lambda request: found.requests.append(request.url))
        page.goto(path.as_uri())
        return found

    yield shown
    for page in pages:
        page.close()


def test_a_small_program(show: Callable[..., Shown], plan_of: Callable[[str], Plan]) -> None:
    report = Report(plan_of(SMALL))
    shown = show(report)
    assert shown.errors == []
    assert len(shown.requests) == 1 and shown.requests[0].startswith("file:")
    assert shown.text("#signature").startswith("judge(essay: str)")
    assert shown.count(".node") == len(report.flow.nodes)
    assert shown.count("#canvas path") == len(report.flow.edges)
    assert not shown.page.locator("#trie").is_visible()
    assert not shown.page.locator("#unfold").is_visible()


def test_text_of_the_program_is_never_markup(
    show: Callable[..., Shown], plan_of: Callable[[str], Plan]
) -> None:
    shown = show(Report(plan_of(SMALL)))
    assert shown.page.evaluate("window.hacked") is None
    shown.page.click('[data-node="1"]')
    assert "</script><script>window.hacked = 1</script>" in shown.text("#chosen pre")


def test_a_node_tells_all_about_itself(
    show: Callable[..., Shown], plan_of: Callable[[str], Plan]
) -> None:
    report = Report(plan_of(SMALL))
    shown = show(report)
    (gen,) = (node for node in report.flow.nodes if node.kind == "gen")
    shown.page.click(f'[data-node="{gen.id}"]')
    told = shown.text("#chosen")
    assert "review" in told and "max_tokens=16" in told and gen.place in told
    assert shown.count("#canvas path.hot") == 2  # its prompt, and what uses it
    shown.page.keyboard.press("Tab")
    shown.page.click("[data-zoom=in]")
    shown.page.click("[data-zoom=fit]")
    assert shown.errors == []


def test_a_batch(
    show: Callable[..., Shown], plan_of: Callable[[str], Plan], facts: BatchFacts
) -> None:
    shown = show(Report(plan_of(SMALL), None, facts))
    assert shown.errors == [] and len(shown.requests) == 1
    assert shown.count(".slab") == len(facts.trie)
    assert shown.page.locator("#chart rect").count() == len(facts.steps)
    shown.page.hover(".slab.input")
    tip = shown.text("#tip")
    assert "5 tokens, 2 distinct, under 2 requests" in tip and 'An <b>essay</b> & "more"' in tip
    # the widths are the tokens that a system would run that shares nothing
    widths = [
        shown.page.locator(f".slab.{kind}").bounding_box()["width"] for kind in ("const", "input")
    ]
    assert abs(widths[1] / widths[0] - (5 * 2 + 4 * 2) / (10 * 2 + 5 * 2 + 4 * 2)) < 0.02
    shown.page.click(".slab.input")
    assert shown.count(".slab.const") == 0
    shown.page.click("#trie-top")
    assert shown.count(".slab") == len(facts.trie)
    assert "3 s" not in shown.text("#tiles") and "1.9 s" in shown.text("#tiles")


def test_a_thousand_nodes(show: Callable[..., Shown], plan_of: Callable[[str], Plan]) -> None:
    report = Report(plan_of(unrolled(500)))
    assert len(report.flow.nodes) > 1000
    shown = show(report)
    assert shown.count(".node") < 10  # the rounds as one
    spent = shown.page.evaluate(
        """() => {
            const begin = performance.now();
            document.querySelector("#unfold input").click();
            document.body.getBoundingClientRect();
            return (performance.now() - begin) / 1000;
        }"""
    )
    assert shown.count(".node") == len(report.flow.nodes)
    assert spent < SECONDS
    # at first a node is large enough to read; all of them fit when asked to
    first = shown.page.locator('[data-node="1"]').bounding_box()
    assert first["width"] > 110
    shown.page.click("[data-zoom=fit]")
    view = shown.page.locator("#view").bounding_box()
    last = shown.page.locator(f'[data-node="{len(report.flow.nodes) - 1}"]').bounding_box()
    assert last["x"] + last["width"] <= view["x"] + view["width"]
    assert last["y"] + last["height"] <= view["y"] + view["height"]
    assert shown.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(
    scheme: str, show: Callable[..., Shown], plan_of: Callable[[str], Plan]
) -> None:
    shown = show(Report(plan_of(SMALL)), color_scheme=scheme)
    shade = "el => getComputedStyle(el).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    back = sum(shown.page.locator("body").evaluate(shade))
    ink = sum(shown.page.locator("body").evaluate(shade.replace("backgroundColor", "color")))
    assert (back > ink) == (scheme == "light")


def test_the_page_is_one_file_that_asks_nobody(plan_of: Callable[[str], Plan]) -> None:
    """Holds without a browser too."""
    text = page_text(Report(plan_of(SMALL)).page_data())
    assert "@@" not in text
    assert text.count("</script>") == 2
    for mark in ("src=", "href=", "url(", "@import", "fetch("):
        assert mark not in text
    assert "default-src 'none'" in text
