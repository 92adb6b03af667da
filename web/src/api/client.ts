import { keepToken, newestOf, renew, sendWithCookie } from './tokens';
import type { Account, HistoryPage, StoredMessage } from './types';

/** What the server refused, in its own words. `status` is 0 when it could not be reached at all. */
export class ApiError extends Error {
  override name = 'ApiError';

  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

interface Call {
  method?: string;
  token?: string | undefined;
  json?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

const CALL_TIMEOUT_MS = 30_000;
const ANSWER_TIMEOUT_MS = 180_000;
const MAX_DETAIL_CHARS = 600;

/** Sends a call and returns the successful response with its body unread. A token that has run out is renewed on the way. */
export async function send(path: string, call: Call): Promise<Response> {
  let token = call.token && newestOf(call.token);
  let response = await attempt(path, call, token);
  if (response.status === 401 && token) {
    token = await renew(token);
    if (token) response = await attempt(path, call, token);
  }
  if (response.ok) return response;
  throw await refusal(response);
}

async function attempt(path: string, call: Call, token: string | undefined): Promise<Response> {
  const headers = new Headers(call.headers);
  if (token) headers.set('Authorization', `Bearer ${token}`);
  if (call.json !== undefined) headers.set('Content-Type', 'application/json');
  const body = call.json === undefined ? null : JSON.stringify(call.json);
  try {
    return await fetch(path, {
      method: call.method ?? 'GET',
      headers,
      body,
      signal: call.signal ?? null,
      credentials: 'omit',
      cache: 'no-store',
    });
  } catch (error) {
    throw unreachable(error);
  }
}

async function callJson<T>(path: string, call: Call, timeoutMs = CALL_TIMEOUT_MS): Promise<T> {
  const response = await send(path, { ...call, signal: AbortSignal.timeout(timeoutMs) });
  try {
    const text = await response.text();
    return (text === '' ? undefined : JSON.parse(text)) as T;
  } catch (error) {
    if (error instanceof SyntaxError) throw new ApiError(response.status, 'The server’s answer was not understood.');
    throw unreachable(error);
  }
}

function unreachable(error: unknown): ApiError {
  const timedOut = error instanceof DOMException && error.name === 'TimeoutError';
  return new ApiError(0, timedOut ? 'The server took too long to answer.' : 'The server can’t be reached.');
}

async function refusal(response: Response): Promise<ApiError> {
  let body: unknown;
  try {
    body = await response.json();
  } catch {
    body = undefined;
  }
  return new ApiError(response.status, explain(response.status, body));
}

/** The words of an error body: `{detail: "…"}`, or the list that a 422 carries. */
export function explain(status: number, body: unknown): string {
  const detail = isRecord(body) ? body['detail'] : undefined;
  let words = '';
  if (typeof detail === 'string') words = detail;
  else if (Array.isArray(detail)) words = detail.slice(0, 5).map(explainItem).filter(Boolean).join('\n');
  return words.slice(0, MAX_DETAIL_CHARS) || `The server answered with status ${status}.`;
}

function explainItem(item: unknown): string {
  if (!isRecord(item) || typeof item['msg'] !== 'string') return '';
  const loc = Array.isArray(item['loc']) ? item['loc'].slice(1).join('.') : '';
  return loc ? `${loc}: ${item['msg']}` : item['msg'];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

export function register(email: string, password: string): Promise<Account> {
  return callJson('/api/auth/register', { method: 'POST', json: { email, password } });
}

export async function login(email: string, password: string): Promise<string> {
  const response = await sendWithCookie('/api/v1/auth/login', { username: email, password }).catch((error: unknown) => {
    throw unreachable(error);
  });
  if (!response.ok) throw await refusal(response);
  return keepToken(((await response.json()) as { access_token: string }).access_token);
}

/** Ends the session of this browser. Whoever cannot be reached is not asked again: the cookie runs out by itself. */
export async function logout(): Promise<void> {
  await sendWithCookie('/api/v1/auth/logout').catch(() => undefined);
}

export function readMe(token: string): Promise<{ email: string | null }> {
  return callJson('/api/users/me', { token });
}

export function listHistory(token: string, page: number, perPage: number): Promise<HistoryPage> {
  return callJson(`/api/history?page=${page}&per_page=${perPage}`, { token });
}

export function listMessages(token: string, conversationId: string): Promise<StoredMessage[]> {
  return callJson(`/conversations/${encodeURIComponent(conversationId)}/messages`, { token });
}

export async function deleteConversation(token: string, conversationId: string): Promise<void> {
  await callJson(`/conversations/${encodeURIComponent(conversationId)}`, { method: 'DELETE', token });
}

export async function stopMessage(token: string, messageId: string): Promise<void> {
  await callJson(`/api/v1/chat/messages/${encodeURIComponent(messageId)}/stop`, { method: 'POST', token });
}

export interface GuestMessage {
  userId: string;
  conversationId: number | undefined;
  message: string;
  key: string;
}

export function sendAsGuest(guest: GuestMessage): Promise<{ response: string; conversation_id: number }> {
  const json = { message: guest.message, user_id: guest.userId, conversation_id: guest.conversationId };
  const headers = { 'Idempotency-Key': guest.key };
  return callJson('/chat', { method: 'POST', json, headers }, ANSWER_TIMEOUT_MS);
}
