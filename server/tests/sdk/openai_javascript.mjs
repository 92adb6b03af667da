// OpenAI's own package for JavaScript, against Parlor. Prints "ok" when everything is as at OpenAI.
import assert from "node:assert/strict";
import OpenAI from "openai";

const isMock = process.env.MODELS === "mock";
const [chat, tool] = isMock ? ["gpt-4o", "mock-tool"] : ["mock-full", "mock-full"];
const messages = [{ role: "user", content: "Hello there" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const client = new OpenAI({ maxRetries: 0, timeout: 60_000 });

const answer = await client.chat.completions.create({ model: chat, messages });
assert.ok(answer.choices[0].message.content);
assert.ok(answer.usage.total_tokens > 0);

let text = "";
let usage;
const stream = await client.chat.completions.create({
  model: chat,
  messages,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta.content ?? "";
  usage = chunk.usage ?? usage;
}
assert.ok(text.length > 0 && usage.completion_tokens > 0);

const tools = [{ type: "function", function: { name: "weather", parameters } }];
const called = (await client.chat.completions.create({ model: tool, messages, tools })).choices[0].message;
assert.equal(called.tool_calls[0].function.name, "weather");
const result = { role: "tool", tool_call_id: called.tool_calls[0].id, content: "rain" };
const told = await client.chat.completions.create({ model: tool, messages: [...messages, called, result], tools });
assert.equal(told.choices[0].message.content, "The tool says: rain");

// The package asks for base64 and decodes it.
const vectors = await client.embeddings.create({ model: "text-embedding-3-small", input: "Hello", dimensions: 16 });
assert.equal(vectors.data[0].embedding.length, 16);
assert.equal(typeof vectors.data[0].embedding[0], "number");

const kinds = [];
for await (const event of await client.responses.create({ model: chat, input: "Hello there", stream: true })) {
  kinds.push(event.type);
}
assert.equal(kinds[0], "response.created");
assert.equal(kinds.at(-1), "response.completed");

if (!isMock) {
  const format = { type: "json_schema", json_schema: { name: "place", schema: parameters } };
  const place = await client.chat.completions.create({ model: chat, messages, response_format: format });
  assert.deepEqual(JSON.parse(place.choices[0].message.content), { city: "Paris" });
  await assert.rejects(
    client.chat.completions.create({ model: "mock-err429-retryafter60", messages }),
    OpenAI.RateLimitError,
  );
}

const stranger = new OpenAI({ apiKey: "pk-nobody", maxRetries: 0 });
await assert.rejects(stranger.chat.completions.create({ model: chat, messages }), OpenAI.AuthenticationError);
await assert.rejects(client.chat.completions.create({ model: "x".repeat(300), messages }), OpenAI.NotFoundError);
await assert.rejects(client.chat.completions.create({ model: " ", messages }), OpenAI.BadRequestError);

const cut = isMock ? "mock-cut" : "mock-cut2";
await assert.rejects(async () => {
  for await (const chunk of await client.chat.completions.create({ model: cut, messages, stream: true })) {
    assert.ok(chunk.choices);
  }
}, OpenAI.APIError);

const slow = isMock ? "mock-slow" : "mock-50ms-2000tok";
const endless = await client.chat.completions.create({ model: slow, messages, stream: true });
for await (const chunk of endless) {
  assert.ok(chunk);
  endless.controller.abort();
}
console.log("ok");
