import { useState } from 'react';
import type { Session } from '../auth/session';
import type { HistoryItem } from '../api/types';
import { ConfirmDialog } from '../ui/ConfirmDialog';
import { Icon, Logo } from '../ui/icons';
import { Notice } from '../ui/Notice';
import type { History } from './useHistory';
import { whenShort } from './when';

interface Props {
  session: Session;
  history: History;
  current: string | undefined;
  open: boolean;
  onOpen: (sessionId: string) => void;
  onNew: () => void;
  onDeleted: (sessionId: string) => void;
  onClose: () => void;
  onSignOut: () => void;
}

export function Sidebar(props: Props) {
  const { session, history, current, open } = props;
  const [doomed, setDoomed] = useState<HistoryItem>();

  async function removeDoomed() {
    if (!doomed) return;
    setDoomed(undefined);
    if (await history.remove(doomed.session_id)) props.onDeleted(doomed.session_id);
  }

  return (
    <aside className={open ? 'sidebar open' : 'sidebar'} id="sidebar" aria-label="Conversations">
      <div className="sidebar-head">
        <Logo />
        <span className="brand">Parlor</span>
        <button type="button" className="icon-button only-narrow" aria-label="Close the list" onClick={props.onClose}>
          <Icon name="close" />
        </button>
      </div>
      <button type="button" className="button new-chat" onClick={props.onNew}>
        <Icon name="plus" /> New chat
      </button>
      <nav className="conversations" aria-label="Earlier conversations">
        {session.kind === 'guest' && (
          <p className="quiet">You are here as a guest. Sign in to keep your conversations and see answers as they are written.</p>
        )}
        {history.error && (
          <Notice tone="error" action={{ label: 'Try again', onClick: history.refresh }}>
            {history.error}
          </Notice>
        )}
        {session.kind === 'user' && !history.loading && !history.error && history.items.length === 0 && (
          <p className="quiet">Your conversations will be listed here.</p>
        )}
        <ul>
          {history.items.map((item) => (
            <li key={item.session_id} className={item.session_id === current ? 'current' : undefined}>
              <button
                type="button"
                className="conversation"
                aria-current={item.session_id === current ? 'page' : undefined}
                onClick={() => props.onOpen(item.session_id)}
              >
                <span className="conversation-text">{titleOf(item)}</span>
                <time dateTime={item.updated_at}>{whenShort(item.updated_at)}</time>
              </button>
              <button
                type="button"
                className="icon-button delete"
                aria-label={`Delete “${titleOf(item)}”`}
                onClick={() => setDoomed(item)}
              >
                <Icon name="trash" />
              </button>
            </li>
          ))}
        </ul>
        {history.loading && <Skeleton />}
        {history.hasOlder && !history.loading && (
          <button type="button" className="link older" onClick={history.loadOlder}>
            Show older
          </button>
        )}
      </nav>
      <div className="sidebar-foot">
        <span className="who">{session.kind === 'user' ? session.email : 'Guest'}</span>
        <button type="button" className="link" onClick={props.onSignOut}>
          {session.kind === 'user' ? 'Sign out' : 'Sign in'}
        </button>
      </div>
      {doomed && (
        <ConfirmDialog
          title="Delete this conversation?"
          text={`“${titleOf(doomed)}” and all of its messages will be gone for good.`}
          confirm="Delete"
          onConfirm={() => void removeDoomed()}
          onClose={() => setDoomed(undefined)}
        />
      )}
    </aside>
  );
}

function titleOf(item: HistoryItem): string {
  const text = (item.last_message ?? '').replace(/\s+/g, ' ').trim();
  if (text === '') return 'Empty conversation';
  return text.length > 80 ? `${text.slice(0, 80).trimEnd()}…` : text;
}

function Skeleton() {
  return (
    <div className="skeleton" role="status" aria-label="Loading conversations">
      <span />
      <span />
      <span />
    </div>
  );
}
