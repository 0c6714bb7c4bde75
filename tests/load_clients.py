"""Many clients at once against a server of their own: mixed requests, some of which leave midway. Every text must be the one
that the same request gets alone, and memory must not grow in the second half of two minutes or more. Standard library only.
load_clients.py QINSRUN MODEL [SECONDS [CLIENTS]]; exit code 1 when something went wrong."""
import collections
import http.client
import json
import random
import re
import sys
import threading
import time

from serving import Serving

program, model = sys.argv[1:3]
seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 10
n_clients = int(sys.argv[4]) if len(sys.argv) > 4 else 16
WORDS = "What is the capital of France and Peru ? Tell me a story about rivers , numbers and the sky .".split()


def requests(random, n):
    """n requests: conversations and texts, short and long, greedy and drawn, whole and streamed."""
    for seed in range(n):
        words = [" ".join(random.choice(WORDS) for _ in range(random.choice((3, 8, 40, 90)))) for _ in range(3)]
        fields = {"max_tokens": random.randint(1, 40), "temperature": random.choice((0, 0.7, 2)), "seed": seed}
        if random.random() < 0.3:
            yield "/v1/completions", {"prompt": words[0], **fields}
            continue
        turns = [{"role": "user", "content": words[0]}]
        if random.random() < 0.4:
            turns += [{"role": "assistant", "content": words[1]}, {"role": "user", "content": words[2]}]
        yield "/v1/chat/completions", {"messages": turns, **fields}


def lines(response):
    for line in response:
        if line.startswith(b"data: {"):
            yield json.loads(line[6:])


def ask(path, body, stream, leaves=False):
    """The text, or None for a client that left, or 429, or what else the server said."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        connection.request("POST", path, json.dumps({**body, "stream": stream}))
        response = connection.getresponse()
        if response.status == 429:
            return 429
        if response.status != 200:
            return response.read()
        if not stream:
            choice = json.load(response)["choices"][0]
            return choice["message"]["content"] if "message" in choice else choice["text"]
        text = ""
        for chunk in lines(response):
            if leaves:
                return None
            for choice in chunk.get("choices", []):
                text += choice["delta"].get("content", "") if "delta" in choice else choice["text"]
        return text
    finally:
        connection.close()


def resident():
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return int(float(re.search(r"^qins_resident_bytes (\S+)", text, re.M).group(1)))


def client(seed, end):
    own = random.Random(seed)
    while time.monotonic() < end:
        place = own.randrange(len(asked))
        stream = own.random() < 0.5
        leaves = stream and own.random() < 0.3
        try:
            text = ask(*asked[place], stream, leaves)
        except Exception as error:
            text = error
        if text is None:
            outcomes["left midway"] += 1
        elif text == 429:
            outcomes["429"] += 1
            time.sleep(0.05)
        elif text == alone[place]:
            outcomes["the text of the request alone"] += 1
        else:
            outcomes["something else"] += 1
            print(f"request {place} {asked[place]}: {text!r} instead of {alone[place]!r}", file=sys.stderr)


server = Serving(program, model, "-t", "2", "--queue", "6", "--cache-mib", "4", "-c", "400")
port = server.port
asked = list(requests(random.Random(1), 60))
alone = [ask(*request, stream=False) for request in asked]
outcomes = collections.Counter()
end = time.monotonic() + seconds
threads = [threading.Thread(target=client, args=(seed, end)) for seed in range(n_clients)]
for thread in threads:
    thread.start()
time.sleep(seconds / 2)
half = resident()
for thread in threads:
    thread.join()
whole = resident()
code = server.end()
for name, count in sorted(outcomes.items()):
    print(f"{name}: {count}")
print(f"resident memory at half time {half / 2**20:.1f} MiB, at the end {whole / 2**20:.1f} MiB; exit code {code}")
print("".join(server.said), file=sys.stderr, end="")
is_steady = whole < 1.1 * half + (8 << 20) or seconds < 120  # a short run is still filling its caches
is_good = outcomes["something else"] == 0 and outcomes["the text of the request alone"] > 0 and code == 0
sys.exit(0 if is_good and is_steady else 1)
