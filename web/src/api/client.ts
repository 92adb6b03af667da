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
  form?: Record<string, string>;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

const CALL_TIMEOUT_MS = 30_000;
const ANSWER_TIMEOUT_MS = 180_000;
const MAX_DETAIL_CHARS = 600;

/** Sends a call and returns the successful response with its body unread. */
export async function send(path: string, call: Call): Promise<Response> {
  const headers = new Headers(call.headers);
  if (call.token) headers.set('Authorization', `Bearer ${call.token}`);
  if (call.json !== undefined) headers.set('Content-Type', 'application/json');
  const body = call.json !== undefined ? JSON.stringify(call.json) : call.form && new URLSearchParams(call.form);
  let response: Response;
  try {
    response = await fetch(path, {
      method: call.method ?? 'GET',
      headers,
      body: body ?? null,
      signal: call.signal ?? null,
      credentials: 'omit',
      cache: 'no-store',
    });
  } catch (error) {
    throw unreachable(error);
  }
  if (response.ok) return response;
  throw await refusal(response);
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
  const form = { username: email, password };
  const answer = await callJson<{ access_token: string }>('/api/auth/login', { method: 'POST', form });
  return answer.access_token;
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
