"""What the browser keeps, and files of conversations."""
import glob
import json
import os
import sys
import tempfile
import time

from selenium.webdriver.common.keys import Keys

from browser import run_checks, stored


def by_title(conversations):
    return sorted(conversations, key=lambda conversation: conversation["title"])


def wait_for_file(folder):
    for _ in range(100):
        found = glob.glob(os.path.join(folder, "*.json"))
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError("nothing was downloaded")


def keeps_conversations(page):
    page.send("first")
    page.click("New conversation")
    page.send("second")
    page.reload()
    assert page.texts("#conversations .open") == ["New conversation", "second", "first"]
    page.click("first", "#conversations")
    assert page.texts("article .text") == ["first", "You said: first"] and "12.3/s" in page.texts(".facts")[0]
    page.click("Rename")
    page.press("renamed", Keys.ENTER)
    page.wait("document.querySelector('#title').textContent === 'renamed'")
    page.click("Delete")
    page.click("Cancel", "#question")
    assert len(stored(page)) == 2
    page.click("Delete")
    page.click("Delete", "#question")
    page.wait("document.querySelector('#title').textContent === 'New conversation'")
    assert [conversation["title"] for conversation in stored(page)] == ["second"]


def full_storage_is_said(page):
    page.run(
        """let size = 1 << 22; for (let n = 0; size > 0; n++) {
        try { localStorage["fill" + n] = "x".repeat(size); } catch { size >>= 1; } }"""
    )
    page.send("hello")
    assert "storage is full" in page.one("#notice").text and len(page.all("article")) == 2
    page.click("Close", "#notice")
    page.run("for (const key of Object.keys(localStorage)) if (key.startsWith('fill')) localStorage.removeItem(key)")
    page.send("again")
    assert len(stored(page)[0]["messages"]) == 4 and not page.one("#notice").is_displayed()


def damaged_storage_is_said(page):
    page.send("good")
    page.run("localStorage['qins.conversation.bad'] = '{\"title\": 3}'; localStorage['qins.settings'] = '[1'")
    page.reload()
    assert page.one("#notice span").text == "1 stored conversation could not be read."
    assert page.texts("#conversations .open") == ["New conversation", "good"]


def tabs_of_one_browser_agree(page):
    page.send("one")
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.reload()
    page.click("one", "#conversations")
    page.send("two")
    page.driver.close()
    page.driver.switch_to.window(first)
    page.wait("document.querySelectorAll('article').length === 4")


def exports_and_imports(page):
    page.one("#system summary").click()
    page.one("#system-text").send_keys("System.")
    page.send("first \u00e9\U0001F600")
    page.click("New conversation")
    page.send("second")
    page.click("Export all")
    path = wait_for_file(page.downloads)
    with open(path, encoding="utf-8") as file:
        exported = json.load(file)
    assert exported["format"] == "qins-conversations" and len(exported["conversations"]) == 2
    before = by_title(stored(page))
    page.run("localStorage.clear()")
    page.reload()
    page.one("#import-file").send_keys(path)
    page.wait("state.conversations.length === 2")
    assert by_title(stored(page)) == before
    page.one("#import-file").send_keys(path)
    page.wait("state.conversations.length === 4")


def refuses_bad_imports(page):
    good = {"title": "a", "system": "", "created": 1, "messages": [{"role": "user", "content": "x"}]}

    def whole(*conversations):
        return json.dumps({"format": "qins-conversations", "version": 1, "conversations": list(conversations)})

    cases = [
        ("{", "it is not JSON"),
        ("null", 'it has no "format"'),
        ('{"format": "x"}', 'it has no "format"'),
        ('{"format": "qins-conversations", "version": 2}', "its version is not 1"),
        (whole(), "it has no list"),
        (whole(good, {**good, "title": None}), "conversations[1].title is not text"),
        (whole({**good, "messages": [{"role": "system", "content": ""}]}), "conversations[0].messages[0].role"),
        (
            whole({**good, "messages": good["messages"] + [{"role": "user", "content": {}}]}),
            "messages[1].content is not text",
        ),
        (whole({**good, "created": "now"}), "conversations[0].created is not a number"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for number, (text, expected) in enumerate(cases):
            path = os.path.join(folder, f"{number}.json")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            page.one("#import-file").send_keys(path)
            page.wait(f"document.querySelector('#notice').textContent.includes('{number}.json')")
            assert expected in page.one("#notice").text, page.one("#notice").text
    assert stored(page) == []


sys.exit(
    run_checks(
        "storage",
        [
            keeps_conversations,
            full_storage_is_said,
            damaged_storage_is_said,
            tabs_of_one_browser_agree,
            exports_and_imports,
            refuses_bad_imports,
        ],
    )
)
