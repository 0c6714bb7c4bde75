"""The official client against a running server: `pip install openai==3.57.0`, then
openai_client.py http://127.0.0.1:PORT/v1. Prints a line for each check, as the tests do."""
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key=sys.argv[2] if len(sys.argv) > 2 else "none", max_retries=0)
model = client.models.list().data[0].id
question = [{"role": "user", "content": "What is the capital of France?"}]


def chat(**fields):
    return client.chat.completions.create(**{"model": model, "messages": question, "temperature": 0, **fields})


def check(name, condition, detail=""):
    print(f"ok - openai client: {name}" if condition else f"FAIL - openai client: {name}: {detail}")


def refused(name, kind, param, **fields):
    try:
        reply = chat(**fields)
        check(name, False, reply)
    except kind as error:
        check(name, error.param == param, (error.param, error.message))


whole = chat()
text = whole.choices[0].message.content
check("chat", "Paris" in text and whole.choices[0].finish_reason == "stop", whole)
usage = whole.usage
check("usage", usage.total_tokens == usage.prompt_tokens + usage.completion_tokens and usage.completion_tokens > 0, usage)

chunks = list(chat(stream=True, stream_options={"include_usage": True}))
streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
check("streaming gives the same text", streamed == text, (streamed, text))
check("in several chunks", len(chunks) > 3, len(chunks))
check("the first has the role", chunks[0].choices[0].delta.role == "assistant", chunks[0])
check("the last has the usage", chunks[-1].usage.completion_tokens == usage.completion_tokens and not chunks[-1].choices, chunks[-1])
check("one id for all", len({chunk.id for chunk in chunks}) == 1)
check("the prompt was cached", chunks[-1].usage.prompt_tokens_details.cached_tokens > 0, chunks[-1].usage)

parts = [{"role": "user", "content": [{"type": "text", "text": question[0]["content"]}]}]
check("content in parts", chat(messages=parts).choices[0].message.content == text)

content = chat(logprobs=True, top_logprobs=3).choices[0].logprobs.content
check("log-probabilities", len(content) == usage.completion_tokens and all(len(token.top_logprobs) == 3 for token in content))
check("of the best token, which is greedy's choice", all(token.logprob == token.top_logprobs[0].logprob for token in content))
joined = b"".join(bytes(token.bytes) for token in content).decode()
check("the tokens' bytes are the text", joined.strip() == text.strip(), (joined, text))
events = [chunk.choices[0].logprobs for chunk in chat(logprobs=True, top_logprobs=1, stream=True)]
check("log-probabilities in a stream", sum(len(part.content) for part in events if part) == len(content))

stopped = chat(stop=["Paris"]).choices[0]
check("a stop text", "Paris" not in stopped.message.content and stopped.finish_reason == "stop", stopped)
check("max_tokens", chat(max_tokens=1).choices[0].finish_reason == "length")
drawn = [client.completions.create(model=model, prompt="One", temperature=2, seed=seed, max_tokens=20).choices[0].text
         for seed in (7, 7, 8)]
check("a seed", drawn[0] == drawn[1] and drawn[0] != drawn[2], drawn)

completion = client.completions.create(model=model, prompt="Hello", max_tokens=5, temperature=0, logprobs=2)
lists = completion.choices[0].logprobs
check("a completion", completion.object == "text_completion" and completion.usage.completion_tokens <= 5, completion)
check("with its log-probabilities", len(lists.tokens) == len(lists.token_logprobs) == len(lists.text_offset), lists)
pieces = client.completions.create(model=model, prompt="Hello", max_tokens=5, temperature=0, stream=True)
check("the same as a stream", "".join(piece.choices[0].text for piece in pieces) == completion.choices[0].text)

conversation = question + [whole.choices[0].message, {"role": "user", "content": "And of Peru?"}]
second = chat(messages=conversation)
check("a reply of the server can be sent back", second.usage.prompt_tokens_details.cached_tokens >= usage.prompt_tokens, second.usage)

refused("temperature out of range", openai.BadRequestError, "temperature", temperature=3)
refused("tools", openai.BadRequestError, "tools", tools=[{"type": "function", "function": {"name": "f"}}])
refused("JSON", openai.BadRequestError, "response_format", response_format={"type": "json_object"})
refused("an unknown field", openai.BadRequestError, "typo", extra_body={"typo": 1})
refused("another model", openai.NotFoundError, "model", model="gpt-4")
refused("a prompt that is too long", openai.BadRequestError, "messages", messages=[{"role": "user", "content": "a b " * 100000}])
