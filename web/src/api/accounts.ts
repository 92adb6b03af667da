import { callJson, refusal, unreachable } from './client';
import { keepToken, sendWithCookie } from './tokens';

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
