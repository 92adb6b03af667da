import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { login } from './accounts';
import { listConversations } from './conversations';
import { keepToken, newestOf, resume } from './tokens';

let server: Server | undefined;

/** A real server on a free port, which the page's relative addresses are sent to. */
async function serve(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<string[]> {
  const seen: string[] = [];
  const running = createServer((request, response) => {
    request.resume();
    seen.push(`${request.url} ${request.headers['x-parlor-csrf'] ?? '-'} ${request.headers.authorization ?? '-'}`);
    handler(request, response);
  });
  server = running;
  await new Promise<void>((resolve) => running.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${(running.address() as AddressInfo).port}`;
  vi.stubGlobal('navigator', {});
  const real = globalThis.fetch;
  vi.stubGlobal('fetch', (path: string, init: RequestInit) => real(base + path, init));
  return seen;
}

afterEach(() => {
  vi.unstubAllGlobals();
  server?.closeAllConnections();
  server?.close();
});

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

function tokenOf(account: string, number: number): string {
  return `h.${Buffer.from(JSON.stringify({ sub: account, number })).toString('base64url')}.s`;
}

const PAGE = { items: [], next: null };
const WANTED = { limit: 20, q: '', archived: false };

describe('a token that is refused', () => {
  test('is renewed silently, once for all calls that wait, and the calls are made again', async () => {
    const [old, fresh] = [keepToken(tokenOf('7', 1)), tokenOf('7', 2)];
    const seen = await serve((request, response) => {
      if (request.url === '/api/v1/auth/refresh') answer(response, 200, { access_token: fresh });
      else if (request.headers.authorization === `Bearer ${fresh}`) answer(response, 200, PAGE);
      else answer(response, 401, { detail: 'Could not validate credentials' });
    });
    await Promise.all([listConversations(old, WANTED), listConversations(old, WANTED)]);
    expect(seen.filter((line) => line === '/api/v1/auth/refresh 1 -')).toHaveLength(1);
    expect(newestOf(old)).toBe(fresh);
    await listConversations(old, WANTED);
    expect(seen.at(-1)).toContain(fresh);
  });

  test('stays refused when the sign-in has ended', async () => {
    const old = keepToken(tokenOf('7', 1));
    await serve((_, response) => answer(response, 401, { detail: 'Could not validate credentials' }));
    await expect(listConversations(old, WANTED)).rejects.toMatchObject({ status: 401 });
    expect(newestOf(old)).toBe(old);
  });

  test('is not replaced by the token of another account that signed in meanwhile', async () => {
    const old = keepToken(tokenOf('7', 1));
    await serve((request, response) => {
      if (request.url === '/api/v1/auth/refresh') answer(response, 200, { access_token: tokenOf('8', 1) });
      else answer(response, 401, { detail: 'Could not validate credentials' });
    });
    await expect(listConversations(old, WANTED)).rejects.toMatchObject({ status: 401 });
    expect(newestOf(old)).toBe(old);
  });
});

describe('signing in', () => {
  test('asks for the cookie and keeps the access token', async () => {
    const token = tokenOf('7', 1);
    const seen = await serve((_, response) => answer(response, 200, { access_token: token }));
    expect(await login('ada@example.com', 'a-long-password')).toBe(token);
    expect(seen).toEqual(['/api/v1/auth/login 1 -']);
    expect(newestOf(token)).toBe(token);
  });

  test('is refused in the server’s words', async () => {
    await serve((_, response) => answer(response, 401, { detail: 'Incorrect email or password' }));
    await expect(login('ada@example.com', 'x')).rejects.toThrow('Incorrect email or password');
  });

  test('is resumed by the cookie, or not at all', async () => {
    const token = tokenOf('7', 3);
    await serve((_, response) => answer(response, 200, { access_token: token }));
    expect(await resume()).toBe(token);
    server?.close();
    vi.unstubAllGlobals();
    await serve((_, response) => answer(response, 401, { detail: 'There is no refresh cookie' }));
    expect(await resume()).toBeUndefined();
  });
});
