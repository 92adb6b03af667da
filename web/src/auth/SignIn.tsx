import { useState } from 'react';
import { login, register } from '../api/accounts';
import { Field } from '../ui/Field';
import { Notice } from '../ui/Notice';
import { useSubmit } from '../ui/useSubmit';
import { AskForLink } from './AskForLink';
import { Card, PASSWORD_RULE } from './Card';
import { newGuest, type SessionState } from './session';

type Mode = 'signin' | 'register' | 'forgot';

const WORDS = {
  signin: { title: 'Welcome back', submit: 'Sign in', busy: 'Signing in…', other: 'Create an account', ask: 'New here?' },
  register: { title: 'Create your account', submit: 'Create account', busy: 'Creating…', other: 'Sign in', ask: 'Already have an account?' },
  forgot: { title: 'Forgot your password?', submit: '', busy: '', other: 'Sign in', ask: 'Do you know it after all?' },
} as const;

export function SignIn({ auth }: { auth: SessionState }) {
  const [mode, setMode] = useState<Mode>('signin');
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const { busy, error, setError, onSubmit } = useSubmit(async () => {
    if (mode === 'register') await register(email, password);
    auth.enter({ kind: 'user', token: await login(email, password), email });
  });
  const words = WORDS[mode];

  function turnTo(next: Mode) {
    setMode(next);
    setError('');
  }

  return (
    <Card title={words.title}>
      {mode === 'forgot' ? (
        <AskForLink kind="reset-password" email={email} />
      ) : (
        <>
          {auth.notice && !error && <Notice tone="info">{auth.notice}</Notice>}
          {error && <Notice tone="error">{error}</Notice>}
          <form onSubmit={onSubmit}>
            <Field
              label="Email"
              type="email"
              name="username"
              autoComplete="username"
              autoFocus
              value={email}
              onChange={setEmail}
            />
            <Field
              label="Password"
              hint={mode === 'register' ? PASSWORD_RULE : undefined}
              type="password"
              name="password"
              autoComplete={mode === 'register' ? 'new-password' : 'current-password'}
              value={password}
              onChange={setPassword}
            />
            <button type="submit" className="button primary" disabled={busy}>
              {busy ? words.busy : words.submit}
            </button>
          </form>
          {mode === 'signin' && (
            <button type="button" className="link signin-forgot" onClick={() => turnTo('forgot')}>
              Forgot your password?
            </button>
          )}
          {auth.guestsAllowed && (
            <button type="button" className="button" disabled={busy} onClick={() => auth.enter(newGuest())}>
              Try as guest
            </button>
          )}
        </>
      )}
      <p className="signin-switch">
        {words.ask}{' '}
        <button type="button" className="link" onClick={() => turnTo(mode === 'signin' ? 'register' : 'signin')}>
          {words.other}
        </button>
      </p>
    </Card>
  );
}
