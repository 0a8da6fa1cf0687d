"""A headless Chromium for tests and pictures: the installed one, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

MISSING = "no Chromium is installed (Debian: apt install chromium), and $CHROMIUM is not set"


def find_chromium() -> str | None:
    """Return the path of the browser: $CHROMIUM, or the first of its usual names on the path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def headless(executable: str) -> Iterator[Browser]:
    """Start a browser for the length of the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # The sandbox does not work for root, who runs the tests in a container. The pages are our own.
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def open_page(browser: Browser, path: Path, *, width: int = 1_200, height: int = 900, dark: bool = False) -> Page:
    """Open a file in a new window, which is a phone's if it is narrow; close it with its context."""
    page = browser.new_context(
        viewport={"width": width, "height": height}, is_mobile=width < 600, color_scheme="dark" if dark else "light"
    ).new_page()
    page.goto(path.absolute().as_uri())
    return page
