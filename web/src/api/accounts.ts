import { ApiError, callJson, refusal, send, unreachable } from './client';
import { keepToken, newestOf, renew, sendWithCookie } from './tokens';

const EXPORT_TIMEOUT_MS = 600_000;

/** The kinds of links that are mailed. */
export type LinkKind = 'reset-password' | 'verify-email';

export async function register(email: string, password: string): Promise<void> {
  await callJson('/api/v1/auth/register', { method: 'POST', json: { email, password } });
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
  return callJson('/api/v1/users/me', { token });
}

const ASK_FOR: Record<LinkKind, string> = {
  'reset-password': '/api/v1/auth/password/forgot',
  'verify-email': '/api/v1/auth/verify-email/resend',
};

/** Asks for a link by mail. The answer is the same whether or not an account has that address. */
export async function askForLink(kind: LinkKind, email: string): Promise<void> {
  await callJson(ASK_FOR[kind], { method: 'POST', json: { email } });
}

/** Sets a new password by a mailed link's token, once. All sessions and API keys of the account end. */
export async function resetPassword(linkToken: string, password: string): Promise<void> {
  await callJson('/api/v1/auth/password/reset', { method: 'POST', json: { token: linkToken, password } });
}

/** Verifies the address that a link was mailed to, once. */
export async function verifyEmail(linkToken: string): Promise<void> {
  await callJson('/api/v1/auth/verify-email', { method: 'POST', json: { token: linkToken } });
}

/** Changes the password and returns the token of a new session: all others end, and all API keys. */
export async function changePassword(token: string, current: string, next: string): Promise<string> {
  const json = { current_password: current, new_password: next };
  const answer = await callJson<{ access_token: string }>('/api/v1/auth/password', { method: 'POST', token, json, cookie: true });
  return keepToken(answer.access_token);
}

/** Everything that is kept of the account, as one JSON document. It may be long: it is not parsed here. */
export async function exportData(token: string): Promise<Blob> {
  const response = await send('/api/v1/users/me/export', { token, signal: AbortSignal.timeout(EXPORT_TIMEOUT_MS) });
  return response.blob().catch((error: unknown) => {
    throw unreachable(error);
  });
}

/** Erases the account with its conversations. */
export async function deleteAccount(token: string, password: string): Promise<void> {
  await callJson('/api/v1/users/me', { method: 'DELETE', token, json: { password } });
}

interface OpenSession {
  id: string;
  last_used_at: string;
}

async function listSessions(token: string): Promise<OpenSession[]> {
  return (await callJson<{ items: OpenSession[] }>('/api/v1/auth/sessions', { token })).items;
}

/**
 * Ends all sessions of the account but this one, and returns how many. No session says that it is ours: ours is the one that is used
 * when we refresh.
 */
export async function endOtherSessions(token: string): Promise<number> {
  const before = new Map((await listSessions(token)).map(({ id, last_used_at }) => [id, last_used_at]));
  if ((await renew(newestOf(token))) === undefined) throw new ApiError(401, 'Your session has ended.');
  const after = await listSessions(token);
  const used = after.filter(({ id, last_used_at }) => before.get(id) !== last_used_at);
  if (used.length !== 1) throw new ApiError(409, 'Another session was used just now. Please try again.');
  const others = after.filter(({ id }) => id !== used[0]?.id);
  for (const { id } of others) {
    await callJson(`/api/v1/auth/sessions/${encodeURIComponent(id)}`, { method: 'DELETE', token }).catch((refused: unknown) => {
      if (!(refused instanceof ApiError) || refused.status !== 404) throw refused;
    });
  }
  return others.length;
}
