"""How fast a server is: N replies at once beside one, in turns, a short reply, and the gaps between the tokens of a reply while a
long prompt arrives. For docs/speed.md; it judges nothing. Standard library only.
serve_speed.py QINSRUN MODEL [ROUNDS [REPLIES [PROMPT_TOKENS]]]"""
import http.client
import json
import statistics
import sys
import threading
import time

from serving import Serving

program, model = sys.argv[1:3]
n_rounds, n_replies, n_prompt = (int(text) for text in (sys.argv[3:] + ["8", "8", "4096"][len(sys.argv) - 3 :]))
TOKENS = 48


def ask(prompt, max_tokens, on_chunk=None):
    """Streams a greedy reply; how many tokens it had. With on_chunk, which is called for each, every token is a chunk."""
    n = 0
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=3600)
    body = {"prompt": prompt, "max_tokens": max_tokens, "temperature": 0, "stream": True}
    body |= {"stream_options": {"include_usage": True}, **({"logprobs": 0} if on_chunk else {})}
    connection.request("POST", "/v1/completions", json.dumps(body))
    for line in connection.getresponse():
        if not line.startswith(b"data: {"):
            continue
        chunk = json.loads(line[6:])
        if chunk.get("usage"):
            n = chunk["usage"]["completion_tokens"]
        elif on_chunk:
            on_chunk()
    connection.close()
    return n


def speed(n, seed):
    """Tokens per second of n replies together."""
    counts = []
    threads = [
        threading.Thread(target=lambda i=i: counts.append(ask(f"{seed} {i} times", TOKENS))) for i in range(n)
    ]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - start)


def seconds_of_a_short_reply():
    """The median of twenty replies of two tokens."""
    times = [time.monotonic()]
    for i in range(20):
        ask(f"short {i}", 2)
        times.append(time.monotonic())
    return statistics.median(end - start for start, end in zip(times, times[1:]))


def gaps_beside_a_prompt():
    """Gaps between the chunks of a reply before a long prompt arrives, and from its arrival to its first token."""
    times, marks = [], {}
    arguments = ("Once upon a time", n_prompt, lambda: times.append(time.monotonic()))
    reply = threading.Thread(target=ask, args=arguments, daemon=True)
    reply.start()
    while len(times) < 20 and reply.is_alive():
        time.sleep(0.05)
    if not reply.is_alive():
        return None  # this model stops too soon
    marks["arrived"] = time.monotonic()
    ask([7 + i % 250 for i in range(n_prompt)], 1, lambda: marks.setdefault("first", time.monotonic()))
    gaps = [(end, end - start) for start, end in zip(times, times[1:])]
    before = [gap for end, gap in gaps if end < marks["arrived"]]
    beside = [gap for end, gap in gaps if marks["arrived"] <= end <= marks["first"]]
    return before, beside, marks["first"] - marks["arrived"]


server = Serving(program, model, "-t", "2", "-c", str(n_prompt + 100), "--parallel", str(n_replies))
speed(1, "warm")
pairs = [(speed(1, f"one {i}"), speed(n_replies, f"many {i}")) for i in range(n_rounds)]
ratios = sorted(many / one for one, many in pairs)
for name, values in ("one reply", [one for one, _ in pairs]), (f"{n_replies} replies", [many for _, many in pairs]):
    print(f"{name}: {min(values):.1f} to {max(values):.1f} tok/s, median {statistics.median(values):.1f}")
print(f"ratio: {ratios[0]:.2f} to {ratios[-1]:.2f}, median {statistics.median(ratios):.2f}")
print(f"a reply of two tokens: {1000 * seconds_of_a_short_reply():.1f} ms")
gaps = gaps_beside_a_prompt()
if gaps is None:
    sys.exit("the reply ended before the long prompt could arrive: no gaps")
before, beside, seconds = gaps
print(f"between tokens of a reply: {1000 * statistics.mean(before):.0f} ms on average")
print(f"while a prompt of {n_prompt} tokens arrived: {1000 * statistics.mean(beside):.0f} ms on average, "
      f"{1000 * max(beside):.0f} ms at most; the prompt took {seconds:.1f} s")
server.process.kill()
