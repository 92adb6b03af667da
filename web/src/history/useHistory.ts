import { useCallback, useEffect, useRef, useState } from 'react';
import { ApiError } from '../api/client';
import { changeConversation, deleteConversation, listConversations, type ConversationChange } from '../api/conversations';
import type { Conversation } from '../api/types';

const PER_PAGE = 30;
const TYPING_MS = 250;

/** Which conversations are listed. */
export interface Wanted {
  q: string;
  archived: boolean;
}

export interface History {
  items: Conversation[];
  hasOlder: boolean;
  loading: boolean;
  error: string;
  wanted: Wanted;
  look: (wanted: Wanted) => void;
  loadOlder: () => void;
  refresh: () => void;
  /** @throws ApiError when it is refused. */
  change: (id: string, change: ConversationChange) => Promise<void>;
  /** Resolves to whether the conversation is gone. */
  remove: (id: string) => Promise<boolean>;
}

interface Listed {
  of: Wanted;
  items: Conversation[];
  next: string | null;
}

const ALL: Wanted = { q: '', archived: false };

/** The account's conversations, pinned ones first, then the newest first; none for a guest, who has no token. */
export function useHistory(token: string | undefined, onSignedOut: () => void): History {
  const [wanted, setWanted] = useState(ALL);
  const [listed, setListed] = useState<Listed>({ of: ALL, items: [], next: null });
  const [loading, setLoading] = useState(token !== undefined);
  const [error, setError] = useState('');
  const newestCall = useRef(0);

  const fail = useCallback(
    (refused: unknown) => {
      if (refused instanceof ApiError && refused.status === 401) onSignedOut();
      else setError(refused instanceof Error ? refused.message : String(refused));
    },
    [onSignedOut],
  );

  const load = useCallback(
    async (before?: string) => {
      if (token === undefined) return;
      newestCall.current += 1;
      const call = newestCall.current;
      setLoading(true);
      try {
        const page = await listConversations(token, { ...wanted, limit: PER_PAGE, before });
        if (call !== newestCall.current) return;
        setListed((known) => {
          if (known.of !== wanted) return { of: wanted, ...page };
          // News of the first page say nothing of how far the pages after it have been read.
          const isLonger = before === undefined && known.items.length > PER_PAGE;
          return { of: wanted, items: merge(known.items, page.items), next: isLonger ? known.next : page.next };
        });
        setError('');
      } catch (refused) {
        if (call === newestCall.current) fail(refused);
      } finally {
        if (call === newestCall.current) setLoading(false);
      }
    },
    [token, wanted, fail],
  );

  useEffect(() => {
    const timer = setTimeout(() => void load(), wanted.q === '' ? 0 : TYPING_MS);
    return () => {
      clearTimeout(timer);
      newestCall.current += 1;
    };
  }, [load, wanted.q]);

  const refresh = useCallback(() => void load(), [load]);

  const forget = (id: string) =>
    setListed((known) => ({ ...known, items: known.items.filter((item) => item.id !== id) }));

  const change = async (id: string, wish: ConversationChange): Promise<void> => {
    if (token === undefined) return;
    const changed = await changeConversation(token, id, wish).catch((refused: unknown) => {
      if (refused instanceof ApiError && refused.status === 401) onSignedOut();
      throw refused;
    });
    if (changed.archived === wanted.archived) setListed((known) => ({ ...known, items: merge(known.items, [changed]) }));
    else forget(id);
  };

  const remove = async (id: string): Promise<boolean> => {
    if (token === undefined) return false;
    try {
      await deleteConversation(token, id);
    } catch (refused) {
      const alreadyGone = refused instanceof ApiError && refused.status === 404;
      if (!alreadyGone) {
        fail(refused);
        return false;
      }
    }
    forget(id);
    return true;
  };

  return {
    items: listed.of.archived === wanted.archived ? listed.items : [],
    hasOlder: listed.of === wanted && listed.next !== null,
    loading: loading || (token !== undefined && listed.of !== wanted && !error),
    error,
    wanted,
    look: setWanted,
    loadOlder: () => void load(listed.next ?? undefined),
    refresh,
    change,
    remove,
  };
}

/** Both lists as one, pinned ones first, then newest first, the fresh rows winning. */
export function merge(known: Conversation[], fresh: Conversation[]): Conversation[] {
  const byId = new Map(known.map((item) => [item.id, item]));
  for (const item of fresh) byId.set(item.id, item);
  return [...byId.values()].sort(
    (a, b) => Number(b.pinned) - Number(a.pinned) || Date.parse(b.updated_at) - Date.parse(a.updated_at),
  );
}

/** What a conversation is called in lists and questions. */
export function nameOf({ title, last_message }: Conversation): string {
  const text = (title ?? last_message ?? '').replace(/\s+/g, ' ').trim();
  if (text === '') return 'New conversation';
  return text.length > 80 ? `${text.slice(0, 80).trimEnd()}…` : text;
}
