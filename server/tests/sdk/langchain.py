"""LangChain's ChatOpenAI, against Parlor. Prints "ok" when everything is as at OpenAI."""

import os

import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

IS_MOCK = os.environ["MODELS"] == "mock"
CHAT, TOOL = ("gpt-4o", "mock-tool") if IS_MOCK else ("mock-full", "mock-full")


class Place(BaseModel):
    """A place."""

    city: str


@tool
def weather(city: str) -> str:
    """Tells the weather."""
    return "rain"


def model(name, **more):
    return ChatOpenAI(model=name, max_retries=0, timeout=60, **more)


def main():
    answer = model(CHAT).invoke("Hello there")
    assert answer.content and answer.usage_metadata["total_tokens"] > 0, answer

    chunks = list(model(CHAT, stream_usage=True).stream("Hello there"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.content and whole.usage_metadata["output_tokens"] > 0, whole

    asked = [HumanMessage("What is the weather?")]
    bound = model(TOOL).bind_tools([weather])
    answer = bound.invoke(asked)
    call = answer.tool_calls[0]
    assert call["name"] == "weather" and "city" in call["args"], answer
    asked += [answer, ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])]
    assert bound.invoke(asked).content == "The tool says: rain"

    if not IS_MOCK:
        assert model(CHAT).with_structured_output(Place).invoke("Where?") == Place(city="Paris")

    # What it counts tokens with would have to be downloaded.
    embeddings = OpenAIEmbeddings(model="text-embedding-3-small", dimensions=8, check_embedding_ctx_length=False)
    assert len(embeddings.embed_query("Hello")) == 8

    try:
        ChatOpenAI(model=CHAT, api_key="pk-nobody", max_retries=0).invoke("Hello")
    except openai.AuthenticationError:
        print("ok")


main()
