// Vercel's AI SDK, against Parlor, over chat completions and over responses. Prints "ok" when everything is as at OpenAI.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { embed, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const isMock = process.env.MODELS === "mock";
const [chat, calling] = isMock ? ["gpt-4o", "mock-tool"] : ["mock-full", "mock-full"];
const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL });
const prompt = "Hello there";
const maxRetries = 0;
const weather = tool({
  description: "Tells the weather.",
  inputSchema: z.object({ city: z.string() }),
  execute: async () => "rain",
});

for (const model of [openai.chat, openai.responses]) {
  const answer = await generateText({ model: model(chat), prompt, maxRetries });
  assert.ok(answer.text.length > 0);
  assert.ok(answer.usage.totalTokens > 0);

  const stream = streamText({ model: model(chat), prompt, maxRetries });
  let text = "";
  for await (const piece of stream.textStream) text += piece;
  assert.equal(text, answer.text);
  assert.ok((await stream.usage).totalTokens > 0);

  const steps = await generateText({
    model: model(calling),
    prompt,
    maxRetries,
    tools: { weather },
    stopWhen: stepCountIs(3),
  });
  assert.equal(steps.steps[0].toolCalls[0].toolName, "weather");
  assert.ok(steps.text.startsWith("The tool says: "), steps.text);

  if (!isMock) {
    const output = Output.object({ schema: z.object({ city: z.string() }) });
    const place = await generateText({ model: model(chat), prompt, maxRetries, output });
    assert.deepEqual(place.output, { city: "Paris" });
  }
  const stranger = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: "pk-nobody" });
  await assert.rejects(generateText({ model: stranger.chat(chat), prompt, maxRetries }), { statusCode: 401 });
}

const vector = await embed({ model: openai.embedding("text-embedding-3-small"), value: "Hello", maxRetries });
assert.equal(vector.embedding.length, 1536);
console.log("ok");
