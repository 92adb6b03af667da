import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, vi } from 'vitest';

export interface Asked {
  /** The method and the address, as in `POST /chat`. */
  call: string;
  headers: IncomingMessage['headers'];
  /** The parsed JSON body; undefined without one, and for a form. */
  json: unknown;
}

type Handler = (asked: Asked, response: ServerResponse) => void;

let running: Server | undefined;

/** A real server on a free port, which the page's relative addresses are sent to until the test ends. Returns what it is asked. */
export async function serve(handler: Handler): Promise<Asked[]> {
  const seen: Asked[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      const isJson = request.headers['content-type']?.startsWith('application/json') ?? false;
      const json: unknown = isJson ? JSON.parse(body) : undefined;
      const asked = { call: `${request.method} ${request.url}`, headers: request.headers, json };
      seen.push(asked);
      handler(asked, response);
    });
  });
  running = server;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const real = globalThis.fetch;
  vi.stubGlobal('fetch', (path: string, init: RequestInit) => real(base + path, { ...init, body: sendable(init.body) }));
  return seen;
}

/** jsdom's forms are none to Node's `fetch`: the names of their fields stand for them. */
function sendable(body: RequestInit['body']): BodyInit | null {
  return body instanceof FormData ? [...body.keys()].join() : (body ?? null);
}

/** Answers with a status and, unless it is undefined, a JSON body. */
export function answer(response: ServerResponse, status: number, body?: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(body === undefined ? '' : JSON.stringify(body));
}

afterEach(() => {
  vi.unstubAllGlobals();
  running?.closeAllConnections();
  running?.close();
  running = undefined;
});
