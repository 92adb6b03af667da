const KEY = 'parlor.draft';

/** Keeps what somebody wanted to send when the session ended, in this tab, until that account is signed in again. */
export function keepDraft(email: string, text: string): void {
  sessionStorage.setItem(KEY, JSON.stringify({ email, text }));
}

/** What was kept for that account. */
export function keptDraft(email: string): string | undefined {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as { email?: unknown; text?: unknown } | null;
    return kept?.email === email && typeof kept.text === 'string' ? kept.text : undefined;
  } catch {
    return undefined;
  }
}

export function dropDraft(): void {
  sessionStorage.removeItem(KEY);
}
