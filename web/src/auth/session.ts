import { useCallback, useState } from 'react';

export type Session = { kind: 'user'; token: string; email: string } | { kind: 'guest'; userId: string };

export interface SessionState {
  session: Session | undefined;
  /** Why the sign-in page is shown again. */
  notice: string;
  guestsAllowed: boolean;
  enter: (session: Session) => void;
  leave: (notice: string) => void;
  refuseGuests: () => void;
}

const KEY = 'parlor.session';
const NO_GUESTS_KEY = 'parlor.no-guests';

/** Who is signed in. Kept in this tab's session storage, so that it ends with the tab. */
export function useSession(): SessionState {
  const [session, setSession] = useState(load);
  const [notice, setNotice] = useState('');
  const [guestsAllowed, setGuestsAllowed] = useState(() => sessionStorage.getItem(NO_GUESTS_KEY) === null);

  const enter = useCallback((next: Session) => {
    sessionStorage.setItem(KEY, JSON.stringify(next));
    setNotice('');
    setSession(next);
  }, []);

  const leave = useCallback((why: string) => {
    sessionStorage.removeItem(KEY);
    setNotice(why);
    setSession(undefined);
  }, []);

  const refuseGuests = useCallback(() => {
    sessionStorage.setItem(NO_GUESTS_KEY, '1');
    setGuestsAllowed(false);
    leave('This server does not take guests. Sign in or create an account to go on.');
  }, [leave]);

  return { session, notice, guestsAllowed, enter, leave, refuseGuests };
}

export function newGuest(): Session {
  return { kind: 'guest', userId: `web-${newKey()}` };
}

/** A random key, also where `crypto.randomUUID` is missing: on plain HTTP away from localhost. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function load(): Session | undefined {
  try {
    const value = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Session | null;
    if (value?.kind === 'user' && value.token) return value;
    if (value?.kind === 'guest' && value.userId) return value;
  } catch {
    // What another version left there is no session.
  }
  return undefined;
}
