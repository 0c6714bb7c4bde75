"""The page as `qinsrun serve` itself gives it, with its headers, streams and figures: test_served.py QINSRUN MODEL."""
import os
import sys
import threading

from browser import run_checks, stored

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from serving import Serving


class Served(Serving):
    """With what the checks expect of a server."""

    def __init__(self, program, model):
        super().__init__(program, model, "-t", "2")
        self.address += "/"
        self.requests, self.left, self.api_key = [], threading.Event(), None


def talks_with_the_model(page):
    page.send("What is the capital of France?")
    assert "Paris" in page.texts("article.assistant .text")[0]
    facts = page.texts("article.assistant .facts")[0]
    assert "tokens at" in facts and "prompt" in facts, facts
    page.send("And of Italy?")
    assert "reused" in page.texts("article.assistant .facts")[1]
    assert page.one("#status").text.startswith("Context: ")
    assert [message["role"] for message in stored(page)[0]["messages"]] == ["user", "assistant"] * 2


def shows_what_the_server_refuses(page):
    page.send("word " * 3000)
    page.wait("document.body.textContent.includes('context holds')")


if __name__ == "__main__":
    server = Served(sys.argv[1], sys.argv[2])
    failed = run_checks("the page, served", [talks_with_the_model, shows_what_the_server_refuses], server)
    code = server.end()
    sys.exit(failed or code)
