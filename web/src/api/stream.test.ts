import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { streamAnswer } from './stream';
import type { AnswerEvent } from './types';

const PATIENCE = { delaysMs: [1, 1, 1], silenceMs: 20_000 };
const STORY: [string, object][] = [
  ['start', { message_id: '7', session_id: '3', conversation_id: '3', model: 'mock' }],
  ['chunk', { content: 'Grüße ' }],
  ['chunk', { content: 'from ' }],
  ['chunk', { content: 'Parlor' }],
  ['done', { message_id: '7', finish_reason: 'stop' }],
];

type Handler = (call: number, request: IncomingMessage, response: ServerResponse) => void;
let server: Server | undefined;

/** A real server on a free port, which the page's relative addresses are sent to. */
async function serve(handler: Handler): Promise<void> {
  let calls = 0;
  const running = createServer((request, response) => {
    calls += 1;
    request.resume();
    handler(calls, request, response);
  });
  server = running;
  await new Promise<void>((resolve) => running.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${(running.address() as AddressInfo).port}`;
  const real = globalThis.fetch;
  vi.stubGlobal('fetch', (path: string, init: RequestInit) => real(base + path, init));
}

afterEach(() => {
  vi.unstubAllGlobals();
  server?.closeAllConnections();
  server?.close();
});

function tell(response: ServerResponse, from: number, to: number): void {
  if (!response.headersSent) response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  STORY.slice(from, to).forEach(([event, data], n) => {
    response.write(`id: ${from + n + 1}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  });
}

function refuse(response: ServerResponse, status: number, detail: string): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify({ detail }));
}

async function collect(signal = new AbortController().signal, seen: AnswerEvent[] = []): Promise<AnswerEvent[]> {
  const request = { token: 't', path: '/api/v1/chat/stream', begin: { json: { message: 'hi' }, key: 'key-1' }, signal };
  for await (const event of streamAnswer(request, PATIENCE)) seen.push(event);
  return seen;
}

const textOf = (events: AnswerEvent[]) => events.map((event) => (event.type === 'chunk' ? event.content : '')).join('');

describe('streamAnswer', () => {
  test('a broken connection is continued after the last event seen under the same key', async () => {
    const seen: [unknown, unknown][] = [];
    await serve((call, request, response) => {
      seen.push([request.headers['idempotency-key'], request.headers['last-event-id']]);
      if (call === 1) {
        tell(response, 0, 2);
        setTimeout(() => response.destroy(), 5);
      } else {
        tell(response, 2, 5);
        response.end();
      }
    });
    const events = await collect();
    expect(textOf(events)).toBe('Grüße from Parlor');
    expect(events.map((event) => event.type)).toEqual(['start', 'chunk', 'lost', 'chunk', 'chunk', 'done']);
    expect(seen).toEqual([
      ['key-1', undefined],
      ['key-1', '2'],
    ]);
  });

  test('an event that the server repeats is told once', async () => {
    await serve((call, _request, response) => {
      tell(response, 0, call === 1 ? 3 : 5);
      response.end();
    });
    expect(textOf(await collect())).toBe('Grüße from Parlor');
  });

  test('a gateway error after the first event is waited out', async () => {
    await serve((call, _request, response) => {
      if (call === 2) refuse(response, 502, 'bad gateway');
      else {
        tell(response, call === 1 ? 0 : 1, call === 1 ? 1 : 5);
        response.end();
      }
    });
    expect(textOf(await collect())).toBe('Grüße from Parlor');
  });

  test('a refusal is told in the server’s words and not repeated', async () => {
    let calls = 0;
    await serve((call, _request, response) => {
      calls = call;
      refuse(response, 503, 'No provider answered.');
    });
    await expect(collect()).rejects.toMatchObject({ status: 503, message: 'No provider answered.' });
    expect(calls).toBe(1);
  });

  test('a connection that keeps breaking without news is given up', async () => {
    let calls = 0;
    await serve((call, _request, response) => {
      calls = call;
      response.destroy();
    });
    await expect(collect()).rejects.toMatchObject({ status: 0 });
    expect(calls).toBe(4);
  });

  test('an error event ends the stream', async () => {
    await serve((_call, _request, response) => {
      tell(response, 0, 2);
      response.end('id: 3\nevent: error\ndata: {"detail":"The provider failed.","code":"provider_error"}\n\n');
    });
    expect((await collect()).at(-1)).toMatchObject({ type: 'error', detail: 'The provider failed.' });
  });

  test('aborting ends the stream quietly', async () => {
    await serve((_call, _request, response) => tell(response, 0, 2));
    const abort = new AbortController();
    const seen: AnswerEvent[] = [];
    const finished = collect(abort.signal, seen);
    await vi.waitUntil(() => seen.length === 2, { timeout: 10_000 });
    abort.abort();
    expect(textOf(await finished)).toBe('Grüße ');
  });
});
