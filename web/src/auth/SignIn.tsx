import { useId, useState, type FormEvent } from 'react';
import { login, register } from '../api/client';
import { Notice } from '../ui/Notice';
import { Logo } from '../ui/icons';
import { newGuest, type SessionState } from './session';

type Mode = 'signin' | 'register';

const WORDS = {
  signin: { title: 'Welcome back', submit: 'Sign in', busy: 'Signing in…', other: 'Create an account', ask: 'New here?' },
  register: { title: 'Create your account', submit: 'Create account', busy: 'Creating…', other: 'Sign in', ask: 'Already have an account?' },
} as const;

export function SignIn({ auth }: { auth: SessionState }) {
  const [mode, setMode] = useState<Mode>('signin');
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const id = useId();
  const words = WORDS[mode];

  async function submit(event: FormEvent) {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setError('');
    try {
      if (mode === 'register') await register(email, password);
      auth.enter({ kind: 'user', token: await login(email, password), email });
    } catch (refused) {
      setError(refused instanceof Error ? refused.message : String(refused));
      setBusy(false);
    }
  }

  function switchMode() {
    setMode(mode === 'signin' ? 'register' : 'signin');
    setError('');
  }

  return (
    <main className="signin">
      <div className="signin-card">
        <Logo className="signin-logo" />
        <h1>{words.title}</h1>
        {auth.notice && !error && <Notice tone="info">{auth.notice}</Notice>}
        {error && <Notice tone="error">{error}</Notice>}
        <form onSubmit={submit}>
          <label htmlFor={`${id}-email`}>Email</label>
          <input
            id={`${id}-email`}
            type="email"
            name="username"
            autoComplete="username"
            required
            autoFocus
            value={email}
            onChange={(event) => setEmail(event.target.value)}
          />
          <label htmlFor={`${id}-password`}>Password</label>
          <input
            id={`${id}-password`}
            type="password"
            name="password"
            autoComplete={mode === 'register' ? 'new-password' : 'current-password'}
            aria-describedby={mode === 'register' ? `${id}-hint` : undefined}
            required
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
          {mode === 'register' && (
            <p className="hint" id={`${id}-hint`}>
              8 to 128 characters.
            </p>
          )}
          <button type="submit" className="button primary" disabled={busy}>
            {busy ? words.busy : words.submit}
          </button>
        </form>
        {auth.guestsAllowed && (
          <button type="button" className="button" disabled={busy} onClick={() => auth.enter(newGuest())}>
            Try as guest
          </button>
        )}
        <p className="signin-switch">
          {words.ask}{' '}
          <button type="button" className="link" onClick={switchMode}>
            {words.other}
          </button>
        </p>
      </div>
      <footer className="signin-foot">
        <a href="/docs">API</a>
        <span aria-hidden="true">·</span>
        <a href="/redoc">Reference</a>
      </footer>
    </main>
  );
}
