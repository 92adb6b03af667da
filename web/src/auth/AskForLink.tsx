import { useState } from 'react';
import { askForLink, type LinkKind } from '../api/accounts';
import { Field } from '../ui/Field';
import { Notice } from '../ui/Notice';
import { useSubmit } from '../ui/useSubmit';

const LASTS: Record<LinkKind, string> = { 'reset-password': '30 minutes', 'verify-email': 'a day' };

/** Asks for a link by mail, and says the same whether or not an account has the address. */
export function AskForLink({ kind, email: known }: { kind: LinkKind; email: string }) {
  const [email, setEmail] = useState(known);
  const [sent, setSent] = useState('');
  const { busy, error, onSubmit } = useSubmit(async () => {
    await askForLink(kind, email);
    setSent(email);
  });
  if (sent) {
    return (
      <Notice tone="info">
        If an account has the address {sent}, a link is on its way. It works for {LASTS[kind]}, once.
      </Notice>
    );
  }
  return (
    <>
      {error && <Notice tone="error">{error}</Notice>}
      <form onSubmit={onSubmit}>
        <Field label="Email" type="email" name="username" autoComplete="username" autoFocus value={email} onChange={setEmail} />
        <button type="submit" className="button primary" disabled={busy}>
          {busy ? 'Sending…' : 'Send a link'}
        </button>
      </form>
    </>
  );
}
