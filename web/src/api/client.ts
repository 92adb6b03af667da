import { newestOf, renew, WITH_COOKIE } from './tokens';

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

export interface Call {
  method?: string;
  token?: string | undefined;
  json?: unknown;
  form?: FormData;
  headers?: Record<string, string>;
  /** The answer sets the session's cookie. */
  cookie?: boolean;
  signal?: AbortSignal;
}

const CALL_TIMEOUT_MS = 30_000;
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
  if (call.cookie) for (const [name, value] of Object.entries(WITH_COOKIE)) headers.set(name, value);
  if (token) headers.set('Authorization', `Bearer ${token}`);
  if (call.json !== undefined) headers.set('Content-Type', 'application/json');
  const body = call.form ?? (call.json === undefined ? null : JSON.stringify(call.json));
  try {
    return await fetch(path, {
      method: call.method ?? 'GET',
      headers,
      body,
      signal: call.signal ?? null,
      credentials: call.cookie ? 'same-origin' : 'omit',
      cache: 'no-store',
    });
  } catch (error) {
    throw unreachable(error);
  }
}

/** Sends a call and returns what its answer's body says. */
export async function callJson<T>(path: string, call: Call, timeoutMs = CALL_TIMEOUT_MS): Promise<T> {
  const response = await send(path, { ...call, signal: AbortSignal.timeout(timeoutMs) });
  try {
    const text = await response.text();
    return (text === '' ? undefined : JSON.parse(text)) as T;
  } catch (error) {
    if (error instanceof SyntaxError) throw new ApiError(response.status, 'The server’s answer was not understood.');
    throw unreachable(error);
  }
}

/** The error of a call that got no answer. */
export function unreachable(error: unknown): ApiError {
  const timedOut = error instanceof DOMException && error.name === 'TimeoutError';
  return new ApiError(0, timedOut ? 'The server took too long to answer.' : 'The server can’t be reached.');
}

/** The error that a response other than a success tells. */
export async function refusal(response: Response): Promise<ApiError> {
  let body: unknown;
  try {
    body = await response.json();
  } catch {
    body = undefined;
  }
  return new ApiError(response.status, explain(response.status, body));
}

/** The words of an error body: a problem's `{detail: "…", errors?: […]}` (RFC 9457), or the list that another dialect's 422 carries. */
export function explain(status: number, body: unknown): string {
  const { detail, errors } = isRecord(body) ? body : {};
  const words = [detail, errors].flat().slice(0, 6).map(explainItem).filter(Boolean).join('\n');
  return words.slice(0, MAX_DETAIL_CHARS) || `The server answered with status ${status}.`;
}

function explainItem(item: unknown): string {
  if (typeof item === 'string') return item;
  if (!isRecord(item) || typeof item['msg'] !== 'string') return '';
  const loc = Array.isArray(item['loc']) ? item['loc'].slice(1).join('.') : '';
  return loc ? `${loc}: ${item['msg']}` : item['msg'];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
