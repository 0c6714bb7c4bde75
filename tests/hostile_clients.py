"""Clients that mean no good, against a server of their own: what each of them got, as a table, and whether the server still
answers. Standard library only. hostile_clients.py QINSRUN MODEL [CONNECTIONS [SECONDS]]: SECONDS is how long a client may try to
send its headers (60 are allowed; 0: not tried). Exit code 1 when something went wrong."""
import collections
import json
import random
import re
import resource
import socket
import sys
import time

from serving import Serving

program, model = sys.argv[1:3]
n_connections = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
slow_seconds = int(sys.argv[4]) if len(sys.argv) > 4 else 90
failed = False

GOOD = json.dumps({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "temperature": 0})


def post(body, path="/v1/chat/completions", headers=""):
    if isinstance(body, str):
        body = body.encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def exchange(data, timeout=30):
    """What came back: the status, "closed", or "silent"."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as client:
            try:
                client.sendall(data)
            except OSError:
                pass  # it may have answered already
            return status_of(client.recv(65536))
    except socket.timeout:
        return "silent"
    except OSError:
        return "closed"


def status_of(data):
    found = re.match(rb"HTTP/1\.[01] (\d+)", data)
    return found.group(1).decode() if found else "closed"


def report(name, outcomes, wanted):
    global failed
    counts = collections.Counter(outcomes)
    alive = exchange(post(GOOD))
    is_good = set(counts) <= set(wanted) and alive == "200" and server.is_running()
    failed = failed or not is_good
    listed = ", ".join(f"{outcome}: {count}" for outcome, count in sorted(counts.items()))
    print(f"| {name} | {sum(counts.values())} | {listed} | {alive if is_good else 'FAIL, then ' + alive} |", flush=True)


def bad_bodies():
    deep = "[" * 100000
    digits = "9" * 100000
    yield "deep JSON", [deep, '{"messages":' + deep, '{"messages":' * 5000, '{"a":' + "[" * 999 + "]" * 999 + "}"]
    yield "huge numbers", [
        f'{{"messages": [{{"role": "user", "content": "x"}}], "{field}": {number}}}'
        for field in ("max_tokens", "temperature", "seed", "top_k", "n", "top_p", "logprobs")
        for number in (digits, "-" + digits, "1e999", "-1e999", "0." + digits + "e99999", "NaN", "Infinity", "1e-400x")
    ]
    yield "wrong UTF-8", [
        b'{"messages": [{"role": "user", "content": "' + bad + b'"}]}'
        for bad in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"a\x00b", b"\\u0000", b"\\ud800")
    ]
    yield "unknown fields", [
        json.dumps({"messages": [{"role": "user", "content": "x"}], name: value})
        for name in ("Temperature", "__proto__", "x" * 100000, "stream ", "")
        for value in (1, [], {}, "x")
    ]
    yield "many values", ["[" + "0," * 500000 + "0]", '{"logit_bias": {' + ",".join(f'"{i}": 0' for i in range(300000)) + "}}"]


def fuzzed_bodies(count):
    rng = random.Random(1)
    for _ in range(count):
        body = bytearray(GOOD.encode())
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(body))
            body[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(4))
        yield bytes(body)


def endless_body():
    """Sends chunks until the server has enough; how many bytes it took."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        for _ in range(1024):
            try:
                client.sendall(chunk)
            except OSError:
                return "closed"
    return "took 64 MiB"


def bodies_at_once(count, size):
    """Bodies that come in together, and end together: what each client got."""
    body = b"x" * size
    clients = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(count)]
    for client in clients:
        client.sendall(post(body, "/tokenize")[:-1])
    for client in clients:
        client.sendall(body[-1:])
        yield status_of(client.recv(65536))
        client.close()


def crowd(count, data, seconds):
    """Connections at once that send something and wait; what had become of them after a while."""
    clients, outcomes = [], []
    for _ in range(count):
        client = socket.socket()
        client.settimeout(5)
        try:
            client.connect(("127.0.0.1", port))
            client.send(data)
            clients.append(client)
        except OSError:
            outcomes.append("refused")
            client.close()
    time.sleep(seconds)
    for client in clients:
        client.setblocking(False)
        try:
            outcomes.append(status_of(client.recv(65536)))
        except BlockingIOError:
            outcomes.append("open")
        except OSError:
            outcomes.append("closed")
        client.close()
    return outcomes


def slow_headers(seconds):
    """A byte of a header each second, until the server has enough."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            time.sleep(1)
            try:
                client.sendall(b"x")
                client.setblocking(False)
                if client.recv(1) == b"":
                    return "closed"
            except BlockingIOError:
                pass
            except OSError:
                return "closed"
            client.setblocking(True)
    return "open"


def leave_midway():
    body = json.dumps({"messages": [{"role": "user", "content": "Hello"}], "stream": True, "temperature": 2})
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(post(body))
        return status_of(client.recv(100))


limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, n_connections + 1000), limit))
server = Serving(
    program, model, "-t", "2", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, limit))
)
port = server.port

print("| attack | how many | outcomes | a good request after it |\n| --- | ---: | --- | --- |")
for name, bodies in bad_bodies():
    report(name, [exchange(post(body)) for body in bodies], {"400"})
report("requests with bytes changed", [exchange(post(body)) for body in fuzzed_bodies(2000)], {"200", "400", "404", "429"})
report("random bytes", [exchange(random.Random(i).randbytes(500) + b"\r\n\r\n", 2) for i in range(50)], {"400", "closed", "silent", "501", "505"})
report("bodies that are announced too large", [exchange(b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % n) for n in (9 << 20, 1 << 40, 2**63 - 1)], {"413"})
report("bodies that are too large", [exchange(b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % n + b"x" * n) for n in ((4 << 20) + 1, 5 << 20)], {"413"})
report("bodies to where there is nothing", [exchange(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % n + b"x" * n) for n in (1, 4 << 20)], {"404"})
report("lengths that are no numbers", [exchange(b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + n + b"\r\n\r\n") for n in (b"-1", b"x", b"9" * 100)], {"400", "413", "closed"})
report("bodies without an end", [endless_body() for _ in range(4)], {"closed"})
report("bodies that are too many at once", bodies_at_once(20, 4 << 20), {"400", "413"})
report("headers that are too large", [exchange(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * size + b"\r\n\r\n") for size in (40000, 1 << 20)], {"431", "413", "closed"})
report("many headers", [exchange(b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 20000 + b"\r\n")], {"431", "413", "closed"})
report("names of other hosts", [exchange(post(GOOD).replace(b"Host: localhost", b"Host: " + host)) for host in (b"evil.example", b"localhost.evil", b"127.0.0.1.nip.io")], {"403"})
report("clients that leave midway", [leave_midway() for _ in range(50)], {"200", "429"})
report("connections at once that send nothing", crowd(n_connections, b"", 2), {"open", "closed", "refused"})
report("requests cut in their middle", crowd(400, post(GOOD)[:-20], 1), {"open", "closed"})
if slow_seconds > 0:
    report("a header a byte each second", [slow_headers(slow_seconds)], {"closed"})
code = server.end()
print(f"\nThe server ended with exit code {code} after SIGTERM.")
sys.exit(1 if failed or code != 0 else 0)
