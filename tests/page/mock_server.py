"""A stand-in for `qinsrun serve` with the page's part of its API: it replies with scripted text, so the page can be tested
without a model. What the last user message says chooses the reply:

    reply TEXT     TEXT (a JSON string after "reply " may hold line breaks)
    slow           a word each 50 ms, without an end in sight
    fail           HTTP 500 with an error object
    busy           HTTP 429 with Retry-After
    break          the connection ends in the middle of the reply
    error midway   an error event in the middle of the reply
    empty          no text
    anything else  "You said: ..."
"""
import base64
import hashlib
import http.server
import json
import math
import pathlib
import re
import threading
import time

PAGE = pathlib.Path(__file__).resolve().parents[2] / "engine/server/page.html"
CONTEXT_SIZE = 4096


def content_security_policy(page):
    """The policy of the real server: the page's style and script by their hashes, and nothing else."""

    def source(tag):
        (body,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        return "'sha256-" + base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; style-src {source('style')}; script-src {source('script')}; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )


def reply_to(text):
    if text.startswith('reply "'):
        return json.loads(text[len("reply ") :])
    if text.startswith("reply "):
        return text[len("reply ") :]
    return "" if text == "empty" else f"You said: {text}"


def tokens_of(text):
    """Pieces like those of a tokenizer: words with their leading space, or long runs of the rest."""
    return re.findall(r" ?\w{1,12}|\s|[^\w\s]{1,64}", text)


def alternatives(place, piece, count):
    """The likeliest tokens, the chosen one among them: its probability depends on the place only, the others halve the rest."""
    chosen = [0.99, 0.8, 0.45, 0.2, 0.05][place % 5]
    found = [(piece, chosen)] + [(f" other{n}", (1 - chosen) / 2**n) for n in range(1, count)]
    return [
        {"token": token, "logprob": math.log(share), "bytes": list(token.encode())}
        for token, share in sorted(found, key=lambda entry: -entry[1])
    ]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/":
            page = PAGE.read_text(encoding="utf-8")
            self.answer(
                200, "text/html; charset=utf-8", page, {"Content-Security-Policy": content_security_policy(page)}
            )
        elif self.path == "/health":
            self.answer_json(200, {"status": "ok"})
        elif self.refuses_key():
            pass
        elif self.path == "/v1/models":
            model = {
                "id": "mock-3.5-mini",
                "object": "model",
                "created": 0,
                "owned_by": "qins",
                "max_model_len": CONTEXT_SIZE,
            }
            self.answer_json(200, {"object": "list", "data": [model]})
        else:
            self.error(404, f"There is no {self.path} here.")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.refuses_key():
            return
        request = json.loads(body)
        self.server.requests.append(request)
        text = request["messages"][-1]["content"]
        if text == "fail":
            self.error(500, "The model has <b>failed</b>.")
        elif text == "busy":
            self.error(429, "The queue is full.", {"Retry-After": "7"})
        else:
            self.stream(request, text)

    def refuses_key(self):
        key = self.server.api_key
        if key is None or self.headers.get("Authorization") == f"Bearer {key}":
            return False
        self.error(401, "The API key is missing or wrong.")
        return True

    def answer(self, status, kind, text, headers=None):
        body = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def answer_json(self, status, value, headers=None):
        self.answer(status, "application/json", json.dumps(value), headers)

    def error(self, status, message, headers=None):
        self.answer_json(status, {"error": {"message": message, "type": "mock", "param": None, "code": None}}, headers)

    def event(self, value):
        data = value if isinstance(value, str) else json.dumps(value)
        body = f"data: {data}\n\n".encode()
        # Two writes in the middle of the event, so that the page must join pieces.
        for part in (body[:11], body[11:]):
            if part:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()

    def stream(self, request, text):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self.events(request, text)
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.server.left.set()
        self.close_connection = True

    def events(self, request, text):
        pieces = [f"word{n} " for n in range(400)] if text == "slow" else tokens_of(reply_to(text))
        self.event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
        for place, piece in enumerate(pieces):
            self.event({"choices": [self.choice(request, place, piece)]})
            if text == "slow":
                time.sleep(0.05)
            if text == "break" and place == 1:
                return
            if text == "error midway" and place == 1:
                return self.event({"error": {"message": "Out of memory in the middle."}})
        self.end_events(request, pieces)

    def choice(self, request, place, piece):
        choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
        if request.get("logprobs"):
            likeliest = alternatives(place, piece, request["top_logprobs"])
            chosen = next(entry for entry in likeliest if entry["token"] == piece)
            choice["logprobs"] = {"content": [{**chosen, "top_logprobs": likeliest}]}
        return choice

    def end_events(self, request, pieces):
        limit = request.get("max_tokens")
        prompt = sum(len(tokens_of(message["content"])) for message in request["messages"])
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "length" if limit else "stop"}]})
        usage = {
            "prompt_tokens": prompt + 10,
            "completion_tokens": len(pieces),
            "total_tokens": prompt + 10 + len(pieces),
            "prompt_tokens_details": {"cached_tokens": prompt // 2},
        }
        timings = {
            "prompt_n": prompt,
            "prompt_ms": 80.0,
            "prompt_per_second": 91.5,
            "predicted_n": len(pieces),
            "predicted_ms": 900.0,
            "predicted_per_second": 12.34,
        }
        self.event({"choices": [], "usage": usage, "timings": timings})
        self.event("[DONE]")


class MockServer(http.server.ThreadingHTTPServer):
    """Listens on a free port of the loopback interface. `requests` has what was asked; `left` is set when a client leaves."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.left, self.api_key = [], threading.Event(), None
        self.address = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()


if __name__ == "__main__":
    server = MockServer()
    print(server.address, flush=True)
    threading.Event().wait()
