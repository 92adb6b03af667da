/**
 * Access tokens live here, in memory alone; the refresh token is in a cookie that no script can read. A page knows its sign-in by
 * its first token; newer ones take that one's place.
 */

const CALL_TIMEOUT_MS = 30_000;
/** Asks for the cookie. A page of another site cannot send it. */
export const WITH_COOKIE = { 'X-Parlor-CSRF': '1' };

let known: { first: string; newest: string } | undefined;
let renewing: Promise<string | undefined> | undefined;

/** Begins with the token of a new sign-in. */
export function keepToken(token: string): string {
  known = { first: token, newest: token };
  return token;
}

/** The token in force for the sign-in that began with that one. */
export function newestOf(first: string): string {
  return known?.first === first ? known.newest : first;
}

/** Sends a call of the session's, with its cookie. */
export function sendWithCookie(path: string, json?: unknown): Promise<Response> {
  const headers = new Headers(WITH_COOKIE);
  if (json !== undefined) headers.set('Content-Type', 'application/json');
  return fetch(path, {
    method: 'POST',
    headers,
    body: json === undefined ? null : JSON.stringify(json),
    credentials: 'same-origin',
    cache: 'no-store',
    signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
  });
}

/** A token for whoever is signed in with this browser; undefined for nobody. */
export async function resume(): Promise<string | undefined> {
  const token = await refresh();
  return token === undefined ? undefined : keepToken(token);
}

/** A token in the place of one that was refused; undefined when the sign-in has ended, or is another account's now. */
export function renew(refused: string): Promise<string | undefined> {
  const before = known;
  if (before && before.newest !== refused) return Promise.resolve(before.newest);
  renewing ??= refresh().finally(() => (renewing = undefined));
  return renewing.then((token) => {
    if (token === undefined || accountOf(token) !== accountOf(refused)) return undefined;
    if (known?.newest === refused) known.newest = token;
    return token;
  });
}

async function refresh(): Promise<string | undefined> {
  return alone(async () => {
    try {
      const response = await sendWithCookie('/api/v1/auth/refresh');
      if (!response.ok) return undefined;
      return ((await response.json()) as { access_token: string }).access_token;
    } catch {
      return undefined;
    }
  });
}

/** A refresh token is good once: tabs take turns, so that each sends the newest. Pages on plain HTTP have no locks. */
function alone<T>(call: () => Promise<T>): Promise<T> {
  const locks = navigator.locks as LockManager | undefined;
  return locks ? (locks.request('parlor.refresh', call) as Promise<T>) : call();
}

/** The account that a JWT names. */
function accountOf(token: string): string | undefined {
  try {
    const claims = token.split('.')[1] ?? '';
    return (JSON.parse(atob(claims.replaceAll('-', '+').replaceAll('_', '/'))) as { sub?: string }).sub;
  } catch {
    return undefined;
  }
}
