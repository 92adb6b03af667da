import { useEffect, useRef, useState } from 'react';
import { resetPassword, verifyEmail } from '../api/accounts';
import { ApiError } from '../api/client';
import { Field } from '../ui/Field';
import { Notice } from '../ui/Notice';
import { useSubmit } from '../ui/useSubmit';
import { AskForLink } from './AskForLink';
import { Card, PASSWORD_RULE } from './Card';
import type { MailLink } from './mailLink';

interface Props {
  link: MailLink;
  /** The address of whoever is signed in; empty for nobody. */
  email: string;
  /** A new password has been set: every session of its account has ended. */
  onReset: () => void;
  onLeave: () => void;
}

/** What a mailed link opens. */
export function MailLinkPage(props: Props) {
  return props.link.kind === 'verify-email' ? <Verify {...props} /> : <Reset {...props} />;
}

function Verify({ link, email, onLeave }: Props) {
  const [state, setState] = useState<'asking' | 'verified' | 'refused'>('asking');
  const [error, setError] = useState('');
  const asked = useRef('');
  useEffect(() => {
    // The token is good once, and an effect may run twice.
    if (asked.current === link.token) return;
    asked.current = link.token;
    verifyEmail(link.token).then(
      () => setState('verified'),
      (refused: unknown) => {
        setError(refused instanceof Error ? refused.message : String(refused));
        setState('refused');
      },
    );
  }, [link.token]);
  return (
    <Card title={state === 'verified' ? 'Your address is verified' : 'Verifying your address'}>
      {state === 'asking' && <Notice tone="info">One moment…</Notice>}
      {state === 'verified' && <Notice tone="info">Thank you. There is nothing else to do.</Notice>}
      {state === 'refused' && (
        <>
          <Notice tone="error">{error}</Notice>
          <AskForLink kind="verify-email" email={email} />
        </>
      )}
      <Leave label="Go on to Parlor" onLeave={onLeave} />
    </Card>
  );
}

function Reset({ link, email, onReset, onLeave }: Props) {
  const [password, setPassword] = useState('');
  const [repeated, setRepeated] = useState('');
  const [spent, setSpent] = useState(false);
  const { busy, error, onSubmit } = useSubmit(async () => {
    if (password !== repeated) throw new Error('The two passwords are not the same.');
    try {
      await resetPassword(link.token, password);
    } catch (refused) {
      setSpent(isAboutLink(refused));
      throw refused;
    }
    onReset();
  });
  return (
    <Card title="Choose a new password">
      {error && <Notice tone="error">{error}</Notice>}
      {spent ? (
        <AskForLink kind="reset-password" email={email} />
      ) : (
        <form onSubmit={onSubmit}>
          <Field
            label="New password"
            hint={PASSWORD_RULE}
            type="password"
            name="new-password"
            autoComplete="new-password"
            autoFocus
            value={password}
            onChange={setPassword}
          />
          <Field
            label="The same again"
            type="password"
            name="repeated-password"
            autoComplete="new-password"
            value={repeated}
            onChange={setRepeated}
          />
          <button type="submit" className="button primary" disabled={busy}>
            {busy ? 'Saving…' : 'Set the password'}
          </button>
        </form>
      )}
      <Leave label="Back to Parlor" onLeave={onLeave} />
    </Card>
  );
}

function Leave({ label, onLeave }: { label: string; onLeave: () => void }) {
  return (
    <p className="signin-switch">
      <button type="button" className="link" onClick={onLeave}>
        {label}
      </button>
    </p>
  );
}

/** A refused link is told as 400, and so is an unfit password: only the words differ. */
function isAboutLink(refused: unknown): boolean {
  return refused instanceof ApiError && refused.status === 400 && /\blink\b/.test(refused.message);
}
