import { useEffect, useState } from 'react';
import type { LinkKind } from '../api/accounts';

/** A link that came by mail. The token is good once. */
export interface MailLink {
  kind: LinkKind;
  token: string;
}

const LINK = /^#(reset-password|verify-email)=([\w.~%-]{1,512})$/;

/** The link in the address's fragment, taken out of the address bar and the history at once, so that nobody reads its token there. */
export function takeMailLink(): MailLink | undefined {
  const found = LINK.exec(location.hash);
  if (!found?.[1] || !found[2]) return undefined;
  window.history.replaceState(null, '', '/');
  return { kind: found[1] as LinkKind, token: found[2] };
}

/** The link that the page was opened with, or one that is opened later in the same tab, until it is `done` with. */
export function useMailLink(first: MailLink | undefined): { link: MailLink | undefined; done: () => void } {
  const [link, setLink] = useState(first);
  useEffect(() => {
    const look = () => setLink((known) => takeMailLink() ?? known);
    addEventListener('hashchange', look);
    return () => removeEventListener('hashchange', look);
  }, []);
  return { link, done: () => setLink(undefined) };
}
