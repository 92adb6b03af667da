import { useCallback, useEffect, useRef, useState } from 'react';
import { ApiError } from '../api/client';
import { deleteConversation, listHistory } from '../api/conversations';
import type { HistoryItem } from '../api/types';

const PER_PAGE = 20;

export interface History {
  items: HistoryItem[];
  hasOlder: boolean;
  loading: boolean;
  error: string;
  loadOlder: () => void;
  refresh: () => void;
  /** Resolves to whether the conversation is gone. */
  remove: (sessionId: string) => Promise<boolean>;
}

/** The account's conversations, newest first; none for a guest, who has no token. */
export function useHistory(token: string | undefined, onSignedOut: () => void): History {
  const [items, setItems] = useState<HistoryItem[]>([]);
  const [total, setTotal] = useState(0);
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
    async (page: number) => {
      if (token === undefined) return;
      newestCall.current += 1;
      const call = newestCall.current;
      setLoading(true);
      try {
        const answer = await listHistory(token, page, PER_PAGE);
        if (call !== newestCall.current) return;
        setItems((known) => merge(known, answer.items));
        setTotal(answer.total);
        setError('');
      } catch (refused) {
        if (call === newestCall.current) fail(refused);
      } finally {
        if (call === newestCall.current) setLoading(false);
      }
    },
    [token, fail],
  );

  useEffect(() => {
    void load(1);
    return () => {
      newestCall.current += 1;
    };
  }, [load]);

  const refresh = useCallback(() => void load(1), [load]);

  const remove = async (sessionId: string): Promise<boolean> => {
    if (token === undefined) return false;
    try {
      await deleteConversation(token, sessionId);
    } catch (refused) {
      const alreadyGone = refused instanceof ApiError && refused.status === 404;
      if (!alreadyGone) {
        fail(refused);
        return false;
      }
    }
    setItems((known) => known.filter((item) => item.session_id !== sessionId));
    setTotal((known) => Math.max(0, known - 1));
    return true;
  };

  return {
    items,
    hasOlder: items.length < total,
    loading,
    error,
    // Pages shift when conversations come and go: the page after what is known may repeat some, never skip any.
    loadOlder: () => void load(Math.floor(items.length / PER_PAGE) + 1),
    refresh,
    remove,
  };
}

/** Both lists as one, newest first, the fresh rows winning. */
export function merge(known: HistoryItem[], fresh: HistoryItem[]): HistoryItem[] {
  const bySession = new Map(known.map((item) => [item.session_id, item]));
  for (const item of fresh) bySession.set(item.session_id, item);
  return [...bySession.values()].sort((a, b) => Date.parse(b.updated_at) - Date.parse(a.updated_at));
}
