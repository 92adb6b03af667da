"""OpenAI's own package for Python, against Parlor. Prints "ok" when everything is as at OpenAI."""

import os

import openai
from openai import OpenAI
from pydantic import BaseModel

IS_MOCK = os.environ["MODELS"] == "mock"
CHAT, TOOL = ("gpt-4o", "mock-tool") if IS_MOCK else ("mock-full", "mock-full")
HELLO = [{"role": "user", "content": "Hello there"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Place(BaseModel):
    city: str
    people: int


def chat(client):
    answer = client.chat.completions.create(model=CHAT, messages=HELLO)
    assert answer.choices[0].message.content, answer
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def stream(client):
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=CHAT, messages=HELLO, stream=True, stream_options=options))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0, chunks[-1]
    plain = list(client.chat.completions.create(model=CHAT, messages=HELLO, stream=True))
    assert all(c.choices and c.usage is None for c in plain)


def tools(client):
    tool = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
    for streamed in (False, True):
        messages = list(HELLO)
        if streamed:
            with client.chat.completions.stream(model=TOOL, messages=messages, tools=[tool]) as events:
                answer = events.get_final_completion()
        else:
            answer = client.chat.completions.create(model=TOOL, messages=messages, tools=[tool])
        message = answer.choices[0].message
        call = message.tool_calls[0]
        assert call.function.name == "weather" and "city" in call.function.arguments, answer
        assert answer.choices[0].finish_reason == "tool_calls"
        messages += [message.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True)]
        messages += [{"role": "tool", "tool_call_id": call.id, "content": "rain"}]
        answer = client.chat.completions.create(model=TOOL, messages=messages, tools=[tool])
        assert answer.choices[0].message.content == "The tool says: rain", answer


def structured(client):
    if IS_MOCK:
        refused(openai.BadRequestError, lambda: client.chat.completions.parse(model=CHAT, messages=HELLO, response_format=Place))
        return
    answer = client.chat.completions.parse(model=CHAT, messages=HELLO, response_format=Place)
    assert answer.choices[0].message.parsed == Place(city="Paris", people=7), answer


def vectors(client):
    answer = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"], dimensions=16)
    assert [len(item.embedding) for item in answer.data] == [16, 16]
    assert isinstance(answer.data[0].embedding[0], float)


def moderation(client):
    answer = client.moderations.create(input="Hello")
    assert answer.results[0].flagged is False


def models(client):
    names = [model.id for model in client.models.list()]
    assert "text-embedding-3-small" in names, names
    assert client.models.retrieve(names[0]).id == names[0]


def responses(client):
    response = client.responses.create(model=CHAT, input="Hello there")
    assert response.status == "completed" and response.output_text and response.usage.output_tokens > 0, response
    with client.responses.stream(model=CHAT, input="Hello there") as events:
        kinds = [event.type for event in events]
        final = events.get_final_response()
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
    assert final.output_text == response.output_text, final
    tool = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": True}
    response = client.responses.create(model=TOOL, input="Hello there", tools=[tool])
    call = response.output[0]
    assert call.type == "function_call" and call.name == "weather", response
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    history = [*HELLO, call.model_dump(exclude_none=True), result]
    response = client.responses.create(model=TOOL, input=history, tools=[tool])
    assert response.output_text == "The tool says: rain", response


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def errors(client):
    stranger = client.with_options(api_key="pk-nobody")
    error = refused(openai.AuthenticationError, lambda: stranger.chat.completions.create(model=CHAT, messages=HELLO))
    assert error.code == "invalid_api_key", error
    refused(openai.NotFoundError, lambda: client.chat.completions.create(model="x" * 300, messages=HELLO))
    bad = refused(openai.BadRequestError, lambda: client.chat.completions.create(model=" ", messages=HELLO))
    assert bad.param == "model", bad
    if IS_MOCK:
        refused(openai.InternalServerError, lambda: client.chat.completions.create(model="mock-fail", messages=HELLO))
        cut = lambda: list(client.chat.completions.create(model="mock-cut", messages=HELLO, stream=True))
    else:
        refused(openai.RateLimitError, lambda: client.chat.completions.create(model="mock-err429-retryafter60", messages=HELLO))
        refused(openai.BadRequestError, lambda: client.chat.completions.create(model="mock-err400", messages=HELLO))
        cut = lambda: list(client.chat.completions.create(model="mock-cut2", messages=HELLO, stream=True))
    refused(openai.APIError, cut)


def abort(client):
    slow = "mock-slow" if IS_MOCK else "mock-50ms-2000tok"
    stream = client.chat.completions.create(model=slow, messages=HELLO, stream=True)
    next(iter(stream))
    stream.close()
    chat(client)


def main():
    client = OpenAI(max_retries=0, timeout=60)
    for test in (chat, stream, tools, structured, vectors, moderation, models, responses, errors, abort):
        test(client)
    raw = client.chat.completions.with_raw_response.create(model=CHAT, messages=HELLO)
    assert raw.headers["x-request-id"], raw.headers
    print("ok")


main()
