import { useCallback, useEffect, useState } from 'react';
import { logout, readMe } from '../api/accounts';
import { resume } from '../api/tokens';

/** `token` is the first of the sign-in, and stands for it; newer ones take its place in `api/tokens`. */
export type Session = { kind: 'user'; token: string; email: string } | { kind: 'guest'; userId: string };

export interface SessionState {
  session: Session | undefined;
  /** It is not known yet who is signed in. */
  resuming: boolean;
  /** What has happened to the session: why the sign-in page is shown again, or that something has been done. */
  notice: string;
  tell: (notice: string) => void;
  guestsAllowed: boolean;
  enter: (session: Session) => void;
  /** Shows the sign-in page, and says why. `forGood` signs this browser out; otherwise the session ended by itself. */
  leave: (notice: string, forGood: boolean) => void;
  refuseGuests: () => void;
}

const KEY = 'parlor.session';
/** Says that there is a cookie to ask with, which no script can see. */
const SIGNED_IN_KEY = 'parlor.signed-in';
const NO_GUESTS_KEY = 'parlor.no-guests';

/** Who is signed in. An account is known again by its cookie, in every tab; a guest is this tab's alone. */
export function useSession(): SessionState {
  const [session, setSession] = useState(loadGuest);
  const [resuming, setResuming] = useState(() => session === undefined && localStorage.getItem(SIGNED_IN_KEY) !== null);
  const [notice, setNotice] = useState('');
  const [guestsAllowed, setGuestsAllowed] = useState(() => sessionStorage.getItem(NO_GUESTS_KEY) === null);

  useEffect(() => {
    if (!resuming) return;
    void resumeSession().then((found) => {
      if (!found) localStorage.removeItem(SIGNED_IN_KEY);
      setSession(found);
      setResuming(false);
    });
  }, [resuming]);

  const enter = useCallback((next: Session) => {
    if (next.kind === 'guest') sessionStorage.setItem(KEY, JSON.stringify(next));
    else localStorage.setItem(SIGNED_IN_KEY, '1');
    setNotice('');
    setSession(next);
  }, []);

  const leave = useCallback((why: string, forGood: boolean) => {
    sessionStorage.removeItem(KEY);
    // A session that ended by itself may be another account's by now: only who says so is signed out.
    if (forGood && localStorage.getItem(SIGNED_IN_KEY) !== null) {
      localStorage.removeItem(SIGNED_IN_KEY);
      void logout();
    }
    setNotice(why);
    setSession(undefined);
  }, []);

  const refuseGuests = useCallback(() => {
    sessionStorage.setItem(NO_GUESTS_KEY, '1');
    setGuestsAllowed(false);
    leave('This server does not take guests. Sign in or create an account to go on.', false);
  }, [leave]);

  return { session, resuming, notice, tell: setNotice, guestsAllowed, enter, leave, refuseGuests };
}

export function newGuest(): Session {
  return { kind: 'guest', userId: `web-${newKey()}` };
}

/** A random key, also where `crypto.randomUUID` is missing: on plain HTTP away from localhost. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function resumeSession(): Promise<Session | undefined> {
  const token = await resume();
  if (token === undefined) return undefined;
  const { email } = await readMe(token).catch(() => ({ email: null }));
  return { kind: 'user', token, email: email ?? '' };
}

function loadGuest(): Session | undefined {
  try {
    const value = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Session | null;
    if (value?.kind === 'guest' && value.userId) return value;
  } catch {
    // What another version left there is no session.
  }
  return undefined;
}
