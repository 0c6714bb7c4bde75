"""Chromium with the page of the mock server or another, and the steps that checks share. Needs Debian's chromium, chromium-driver and
python3-selenium, or the same in other places: CHROMIUM and CHROMEDRIVER name the programs."""
import os
import shutil
import tempfile
import time
import traceback

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from mock_server import MockServer

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
CHROMEDRIVER = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
WIDE, PHONE = (1200, 800), (360, 740)


class Page:
    def __init__(self, server=None):
        self.server = server or MockServer()
        self.downloads = tempfile.mkdtemp()
        options = Options()
        options.binary_location = CHROMIUM
        arguments = ["--headless=new", "--disable-dev-shm-usage", "--force-device-scale-factor=1", "--lang=en"]
        for argument in arguments + (["--no-sandbox"] if os.geteuid() == 0 else []):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        options.add_experimental_option("prefs", {"download.default_directory": self.downloads})
        self.driver = webdriver.Chrome(service=Service(CHROMEDRIVER), options=options)
        self.driver.get(self.server.address)

    def close(self):
        self.driver.quit()
        shutil.rmtree(self.downloads)

    def fresh(self):
        """The page as a new visitor sees it."""
        self.server.api_key = None
        self.server.requests.clear()
        self.server.left.clear()
        self.size(WIDE)
        self.emulate()
        self.run("for (const run of state.runs.values()) run.abort(); localStorage.clear(); sessionStorage.clear()")
        self.reload()
        self.log()

    def reload(self):
        self.driver.get(self.server.address)
        self.wait("state.model !== null || document.querySelector('dialog[open]')")

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def value(self, expression):
        return self.run(f"return {expression}")

    def wait(self, expression, seconds=10):
        end = time.monotonic() + seconds
        while not self.value(expression):
            assert time.monotonic() < end, f"after {seconds} s it is still not so: {expression}"
            time.sleep(0.02)

    def log(self):
        """What the browser's console got since the last call; Chromium's note on a refused request is left out."""
        entries = [entry["message"] for entry in self.driver.get_log("browser")]
        return [
            entry
            for entry in entries
            if "Failed to load resource" not in entry and "ERR_INCOMPLETE_CHUNKED" not in entry
        ]

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector):
        return self.value(f"[...document.querySelectorAll({selector!r})].map(node => node.textContent)")

    def find_button(self, label, within):
        """The last visible button with this label, or None."""
        return self.run(
            """return [...document.querySelectorAll(arguments[1] + " button")]
            .findLast(node => node.checkVisibility({ visibilityProperty: true }) && node.textContent === arguments[0]) ?? null""",
            label,
            within,
        )

    def button(self, label, within="body"):
        button = self.find_button(label, within)
        assert button, f"no button {label!r} in {within}"
        return button

    def has_button(self, label, within="body"):
        return self.find_button(label, within) is not None

    def click(self, label, within="body"):
        self.button(label, within).click()

    def send(self, text, wait=True):
        self.one("#message").send_keys(text, Keys.ENTER)
        if wait:
            self.idle()

    def idle(self):
        self.wait("state.runs.size === 0")

    def press(self, *keys):
        """Keys to whatever has the focus."""
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def chord(self, modifier, key):
        webdriver.ActionChains(self.driver).key_down(modifier).send_keys(key).key_up(modifier).perform()

    def size(self, size):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE},
        )

    def emulate(self, scheme="light"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def last_request(page):
    return page.server.requests[-1]


def stored(page):
    return page.run(
        "return Object.keys(localStorage).filter(k => k.startsWith('qins.conversation.')).map(k => JSON.parse(localStorage[k]))"
    )


def run_checks(title, checks, server=None):
    """Runs functions of a page, each on a fresh one, and reports each in a line. Returns the exit code."""
    page, failed = Page(server), 0
    for check in checks:
        name = f"{title}, {check.__name__.replace('_', ' ')}"
        try:
            page.fresh()
            check(page)
            assert page.log() == [], "the console is not empty"
            print(f"ok - {name}", flush=True)
        except Exception:  # whatever it is, the other checks go on
            print(f"FAIL - {name}: {traceback.format_exc()}", flush=True)
            failed += 1
    page.close()
    return min(failed, 1)
