"""The page at /docs, in a real browser: it shows every operation, and asks nobody but the server."""

import os
import shutil
from collections.abc import AsyncIterator
from typing import Final

import pytest
from playwright.async_api import Browser, ConsoleMessage, Error, Page, async_playwright

from api.routes import ROUTES
from tests.api.client import Client
from tests.redis_servers import absent

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """The machine's own Chromium."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None) or absent("the machine has no Chromium")
    # Chromium's sandbox does not work for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=found, args=arguments)
        yield started
        await started.close()


class Watched:
    """A page, with every request that it made and everything that went wrong on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.troubles: list[str] = []
        page.context.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._note)
        page.on("pageerror", self._fail)

    def _note(self, message: ConsoleMessage) -> None:
        # What the Content-Security-Policy stops is said here.
        if message.type in ("error", "warning"):
            self.troubles.append(message.text)

    def _fail(self, error: Error) -> None:
        self.troubles.append(str(error))

    def asked_elsewhere(self, url: str) -> list[str]:
        """The requests to others than the server."""
        return [asked for asked in self.requests if not asked.startswith(f"{url}/")]


@pytest.mark.parametrize(
    ("locale", "language", "title"),
    [("zh-CN", "zh-CN", "seatrush 接口说明"), ("en-GB", "en", "seatrush API")],
)
async def test_it_shows_every_operation(
    browser: Browser, client: Client, locale: str, language: str, title: str
) -> None:
    page = await browser.new_page(locale=locale)
    watched = Watched(page)
    await page.goto(f"{client.url}/docs")
    await page.wait_for_selector(".opblock")
    assert await page.title() == title
    assert await page.locator("html").get_attribute("lang") == language
    shown = {
        (
            await block.locator(".opblock-summary-method").inner_text(),
            await block.locator(".opblock-summary-path").get_attribute("data-path"),
        )
        for block in await page.locator(".opblock").all()
    }
    assert shown == {(route.method, route.path) for route in ROUTES}
    assert {f"{client.url}/docs", f"{client.url}/openapi.json"} <= set(watched.requests)
    assert watched.asked_elsewhere(str(client.url)) == []
    assert watched.troubles == []


async def test_an_operation_can_be_tried(browser: Browser, client: Client) -> None:
    page = await browser.new_page()
    watched = Watched(page)
    await page.goto(f"{client.url}/docs")
    operation = page.locator("#operations-ops-check_liveness")
    await operation.locator(".opblock-summary-control").click()
    await operation.get_by_role("button", name="Try it out").click()
    await operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response-col_status").last
    assert (await answer.inner_text()).startswith("200")
    assert f"{client.url}/healthz" in watched.requests
    assert watched.asked_elsewhere(str(client.url)) == []
    assert watched.troubles == []


async def test_the_page_may_ask_nobody_else(client: Client) -> None:
    answer = await client.get("/docs", Accept_Language="en")
    assert (answer.status, answer.headers["Content-Language"]) == (200, "en")
    assert answer.headers["Vary"] == "Accept-Language"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {source for sources in policy.values() for source in sources.split()} == {
        "'none'",
        "'self'",
        "data:",
    }
    assert b"//" not in answer.body


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/docs/viewer.js", "text/javascript"),
        ("/docs/swagger-ui-bundle.js", "text/javascript"),
        ("/docs/swagger-ui.css", "text/css"),
        ("/docs/favicon-32x32.png", "image/png"),
    ],
)
async def test_files(client: Client, path: str, media_type: str) -> None:
    answer = await client.get(path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, media_type)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    again = await client.get(path, If_None_Match=answer.headers["ETag"])
    assert again.status == 304


@pytest.mark.parametrize(
    "path", ["/docs/", "/docs/index.html", "/docs/..%2findex.html", "/docs/swagger-ui.js.map"]
)
async def test_nothing_else_is_served(client: Client, path: str) -> None:
    assert (await client.get(path)).told == (404, "not_found")
