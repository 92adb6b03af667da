import { useState } from 'react';
import type { Conversation } from '../api/types';
import { ConfirmDialog } from '../ui/ConfirmDialog';
import { Notice } from '../ui/Notice';
import { ConversationItem } from './ConversationItem';
import { RenameDialog } from './RenameDialog';
import { nameOf, type History } from './useHistory';

interface Props {
  history: History;
  current: string | undefined;
  onOpen: (id: string) => void;
  onDeleted: (id: string) => void;
}

/** The conversations, to be searched, opened and put in order. */
export function ConversationList({ history, current, onOpen, onDeleted }: Props) {
  const [doomed, setDoomed] = useState<Conversation>();
  const [renamed, setRenamed] = useState<Conversation>();
  const [refused, setRefused] = useState('');
  const { wanted, look, items, loading } = history;

  async function removeDoomed() {
    if (!doomed) return;
    setDoomed(undefined);
    if (await history.remove(doomed.id)) onDeleted(doomed.id);
  }

  function change(item: Conversation, wish: { pinned?: boolean; archived?: boolean }) {
    setRefused('');
    history.change(item.id, wish).catch((error: unknown) => setRefused(error instanceof Error ? error.message : String(error)));
  }

  return (
    <>
      <input
        type="search"
        className="search"
        aria-label="Search the conversations"
        placeholder="Search"
        dir="auto"
        maxLength={200}
        value={wanted.q}
        onChange={(event) => look({ ...wanted, q: event.target.value })}
      />
      <nav className="conversations" aria-label={wanted.archived ? 'Archived conversations' : 'Earlier conversations'}>
        {wanted.archived && <h2>Archive</h2>}
        {history.error && (
          <Notice tone="error" action={{ label: 'Try again', onClick: history.refresh }}>
            {history.error}
          </Notice>
        )}
        {refused && (
          <Notice tone="error" action={{ label: 'Close', onClick: () => setRefused('') }}>
            {refused}
          </Notice>
        )}
        {!loading && !history.error && items.length === 0 && (
          <p className="quiet" role="status">
            {emptyWords(wanted)}
          </p>
        )}
        <ul aria-busy={loading}>
          {items.map((item) => (
            <ConversationItem
              key={item.id}
              item={item}
              isCurrent={item.id === current}
              onOpen={() => onOpen(item.id)}
              onRename={() => setRenamed(item)}
              onChange={(wish) => change(item, wish)}
              onDelete={() => setDoomed(item)}
            />
          ))}
        </ul>
        {loading && items.length === 0 && <Skeleton />}
        {history.hasOlder && (
          <button type="button" className="link older" disabled={loading} onClick={history.loadOlder}>
            Show older
          </button>
        )}
      </nav>
      <button type="button" className="link archive" onClick={() => look({ q: '', archived: !wanted.archived })}>
        {wanted.archived ? 'Back to the conversations' : 'Archive'}
      </button>
      {doomed && (
        <ConfirmDialog
          title="Delete this conversation?"
          text={`“${nameOf(doomed)}” and all of its messages will be gone for good.`}
          confirm="Delete"
          onConfirm={() => void removeDoomed()}
          onClose={() => setDoomed(undefined)}
        />
      )}
      {renamed && (
        <RenameDialog
          name={renamed.title ?? ''}
          onRename={(title) => history.change(renamed.id, { title })}
          onClose={() => setRenamed(undefined)}
        />
      )}
    </>
  );
}

function emptyWords({ q, archived }: History['wanted']): string {
  if (q.trim() !== '') return 'Nothing was found.';
  return archived ? 'The archive is empty.' : 'Your conversations will be listed here.';
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
