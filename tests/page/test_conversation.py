"""Conversations: sending, stopping, editing, settings, tokens, and what the server refuses."""
import sys

from selenium.webdriver.common.keys import Keys

from browser import last_request, run_checks, stored


def sends_and_shows(page):
    page.send("reply **Bold** and `code`")
    assert page.texts("article h2") == ["You", "Model"]
    assert page.texts("article.assistant strong") == ["Bold"]
    assert page.texts("article.assistant .facts") == [
        "8 tokens at 12.3/s \u00b7 prompt 15 tokens at 92/s \u00b7 5 reused"
    ], page.texts(".facts")
    assert page.one("#status").text == "Context: 28 of 4,096 tokens"
    request = last_request(page)
    assert request == {
        "model": "mock-3.5-mini",
        "messages": [{"role": "user", "content": "reply **Bold** and `code`"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }, request
    page.send("more")
    assert [message["role"] for message in last_request(page)["messages"]] == ["user", "assistant", "user"]
    assert page.one("#title").text.startswith("reply **Bold**")


def text_of_people_is_not_markup(page):
    page.send("<b>x</b> **y**")
    assert page.all("article b, article.user strong") == []
    assert page.texts("article.user .text") == ["<b>x</b> **y**"]


def streams_and_stops(page):
    page.send("slow", wait=False)
    page.wait("document.querySelector('article.assistant .text').textContent.includes('word3')")
    assert "About" in page.one("#status").text
    page.click("Stop")
    page.idle()
    assert page.server.left.wait(5), "the server did not see the client leave"
    assert "stopped" in page.texts(".facts")[0]
    assert "word3" in stored(page)[0]["messages"][1]["content"]
    assert page.has_button("Send")


def other_conversations_stay_usable_meanwhile(page):
    page.send("slow", wait=False)
    page.wait("document.querySelector('article.assistant .text').textContent.includes('word1')")
    page.click("New conversation")
    page.send("hello", wait=False)
    page.wait(
        "state.runs.size === 1 && document.querySelector('article.assistant')?.textContent.includes('You said: hello')"
    )
    page.click("slow ...", "#conversations")
    page.press(Keys.ESCAPE)
    page.idle()
    assert len(stored(page)) == 2


def edits_and_resends(page):
    for text in ("one", "two", "three"):
        page.send(text)
    page.button("Edit", "article:nth-of-type(3)").click()
    box = page.one("article textarea")
    assert box.get_attribute("value") == "two"
    assert "3 messages" in page.one("article:nth-of-type(3)").text
    box.clear()
    box.send_keys("changed", Keys.ENTER)
    page.idle()
    assert [m["content"] for m in last_request(page)["messages"]] == ["one", "You said: one", "changed"]
    assert page.texts("article .text") == ["one", "You said: one", "changed", "You said: changed"]
    page.click("Edit")
    page.one("article textarea").send_keys("x", Keys.ESCAPE)
    assert page.texts("article.user .text") == ["one", "changed"]


def regenerates(page):
    page.send("one")
    page.click("Regenerate")
    page.idle()
    assert [m["content"] for m in last_request(page)["messages"]] == ["one"] and len(page.server.requests) == 2
    assert len(page.all("article")) == 2


def failed_regeneration_keeps_the_reply(page):
    page.send("one")
    page.run("state.current.messages[0].content = 'fail'")
    page.click("Regenerate")
    page.idle()
    assert page.texts("article.assistant .text") == ["You said: one"] and page.texts(".failure")


def system_message_and_settings(page):
    page.one("#system summary").click()
    page.one("#system-text").send_keys("Be brief.")
    page.click("Settings")
    for name, value in {
        "temperature": "0.5",
        "top_p": "0.9",
        "top_k": "40",
        "min_p": "0.05",
        "repeat_penalty": "1.1",
        "seed": "7",
        "max_tokens": "100",
    }.items():
        page.one(f"#setting-{name}").send_keys(value)
    page.one("#setting-stop").send_keys("END", Keys.ENTER, "\\n\\n")
    page.click("Close", "#settings")
    page.send("hi")
    request = last_request(page)
    assert request["messages"][0] == {"role": "system", "content": "Be brief."}
    expected = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.05,
        "repeat_penalty": 1.1,
        "seed": 7,
        "max_tokens": 100,
        "stop": ["END", "\n\n"],
    }
    assert expected.items() <= request.items(), request
    assert "ended by the token limit" in page.texts(".facts")[0]
    page.reload()
    page.send("again")
    assert last_request(page)["seed"] == 7 and last_request(page)["messages"][0]["content"] == "again"
    page.click("Settings")
    page.one("#setting-top_p").send_keys("99")  # 0.999: allowed; then 1.5: refused, and not kept
    page.one("#setting-top_p").clear()
    page.one("#setting-top_p").send_keys("1.5", Keys.TAB)
    assert page.value("state.settings.values.top_p") in (0.9, None)
    page.click("Use the server's defaults")
    page.click("Close", "#settings")
    page.send("last")
    assert not set(expected) & set(last_request(page)), last_request(page)


def shows_tokens(page):
    page.send("hi")
    assert not page.has_button("Tokens") and "logprobs" not in last_request(page)
    page.click("Settings")
    page.one("#fields input[type=checkbox]").click()
    page.click("Close", "#settings")
    page.send("abc def")
    assert last_request(page)["logprobs"] is True and last_request(page)["top_logprobs"] == 5
    page.click("Tokens")
    assert page.texts(".tokens span") == ["You", " said", ":", " abc", " def"]
    assert page.run("return [...document.querySelectorAll('.tokens span')].map(node => node.dataset.level)") == [
        "0",
        "1",
        "2",
        "3",
        "4",
    ]
    page.all(".tokens span")[1].click()
    page.press(Keys.ARROW_RIGHT)
    assert page.value("document.activeElement.textContent") == ":"
    assert page.texts(".tokens + div p") == ['":" had 45.0 %. The likeliest here:']
    assert page.texts(".alternatives .chosen th") == ['":"'] and len(page.all(".alternatives meter")) == 5
    page.click("Tokens")
    assert page.texts("article:last-of-type .markdown p") == ["You said: abc def"]


def shows_errors(page):
    for text, expected in (
        ("fail", "The model has <b>failed</b>. (HTTP 500)"),
        ("busy", "The queue is full. (HTTP 429; try again in 7 s)"),
        ("error midway", "Out of memory in the middle."),
        ("break", "The connection ended before the reply was complete."),
    ):
        page.click("New conversation")
        page.send(text)
        (failure,) = page.texts(".failure")
        assert failure == expected, failure
        partial = text in ("error midway", "break")
        assert page.texts("article.assistant .text") == (["You said"] if partial else []), page.texts("article .text")
        assert page.has_button("Regenerate" if partial else "Get a reply")
    page.click("New conversation")
    page.send("empty")
    assert page.texts("article.assistant .text") == ["(empty reply)"] and page.texts(".failure") == []


def server_that_is_gone(page):
    page.run("window.realFetch = fetch; window.fetch = () => Promise.reject(new TypeError('x'))")
    page.send("hi")
    assert page.texts(".failure") == ["The server does not answer. Is it still running?"]
    page.run("window.fetch = realFetch")
    page.click("Get a reply")
    page.idle()
    assert page.texts(".failure") == [] and len(page.all("article")) == 2


def asks_for_the_key(page):
    page.server.api_key = "secret"
    page.run("state.model = null")
    page.reload()
    page.wait("document.querySelector('#question[open]')")
    assert "missing or wrong" in page.one("#question-text").text
    page.press("wrong", Keys.ENTER)
    page.wait("document.querySelector('#question-answer').value === '' && document.querySelector('#question[open]')")
    page.press("secret", Keys.ENTER)
    page.wait("state.model !== null")
    page.send("hi")
    assert len(page.all("article")) == 2
    assert (
        page.value("JSON.stringify(localStorage)").find("secret") == -1
        and page.value("sessionStorage['qins.key']") == "secret"
    )
    page.reload()
    assert page.value("state.model.id") == "mock-3.5-mini"


sys.exit(
    run_checks(
        "conversation",
        [
            sends_and_shows,
            text_of_people_is_not_markup,
            streams_and_stops,
            other_conversations_stay_usable_meanwhile,
            edits_and_resends,
            regenerates,
            failed_regeneration_keeps_the_reply,
            system_message_and_settings,
            shows_tokens,
            shows_errors,
            server_that_is_gone,
            asks_for_the_key,
        ],
    )
)
