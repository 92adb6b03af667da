import { useCallback, useEffect, useRef, useState } from 'react';
import { ApiError } from '../api/client';
import { sendAsGuest } from '../api/guests';
import { listMessages, rateAnswer, stopMessage, switchBranch } from '../api/messages';
import type { Page, Rating, StoredMessage } from '../api/types';
import { newKey, type Session } from '../auth/session';
import { isOpen, renewed, type Attached, type Entry } from './entries';
import { dropDraft, keepDraft, keptDraft } from './keptDraft';
import { answerKeyOf, begun, requestOf, type Turn } from './turns';
import { watchAnswer } from './watchAnswer';

export type Phase = 'idle' | 'loading' | 'answering' | 'stopping';

/** What can be done with single messages, by their ids. */
export interface MessageActions {
  regenerate: (id: string) => void;
  /** Opens a message of one's own for editing; undefined closes it. */
  edit: (entry: Entry | undefined) => void;
  sayDifferently: (id: string, message: string) => void;
  /** Goes to another version of the message shown under that key. */
  switchTo: (id: string, key: string) => void;
  rate: (id: string, rating: Rating | undefined) => void;
}

export interface Chat {
  conversationId: string | undefined;
  entries: Entry[];
  phase: Phase;
  error: string;
  /** The message that is being edited, with what has been written instead. */
  editing: { id: string; text: string } | undefined;
  /** A message that was refused and is not stored: it is the writer's again. */
  returned: { text: string; attached: Attached[] } | undefined;
  /** Undefined for guests, who have no messages to come back to. */
  actions: MessageActions | undefined;
  send: (message: string, attached?: Attached[]) => void;
  /** Sends the failed turn again under its first key, so that it cannot count twice; or loads again. */
  retry: (() => void) | undefined;
  stop: () => void;
  open: (conversationId: string) => void;
  /** Shows older messages; undefined when there are none. */
  loadOlder: (() => void) | undefined;
  reset: () => void;
}

interface Hooks {
  onSignedOut: () => void;
  onGuestsRefused: () => void;
  /** The list of conversations has news. */
  onChanged: () => void;
}

/** One conversation: what it says, and what is under way in it. */
export function useChat(session: Session, { onSignedOut, onGuestsRefused, onChanged }: Hooks): Chat {
  const [conversationId, setConversationId] = useState<string>();
  const [entries, setEntries] = useState<Entry[]>([]);
  const [older, setOlder] = useState<string>();
  const [phase, setPhase] = useState<Phase>('idle');
  const [error, setError] = useState('');
  const [editing, setEditing] = useState<Chat['editing']>();
  const [returned, setReturned] = useState<Chat['returned']>(() => {
    const text = session.kind === 'user' ? keptDraft(session.email) : undefined;
    return text === undefined ? undefined : { text, attached: [] };
  });
  const [again, setAgain] = useState<() => void>();
  // What is under way; replaced whenever the page turns to something else, so that late news is dropped.
  const current = useRef(new AbortController());
  const running = useRef<{ messageId?: string; stopAsked: boolean }>({ stopAsked: false });
  const shown = useRef<Entry[]>([]);
  const keys = useRef(new Map<string, string>());

  const begin = useCallback((next: Phase) => {
    current.current.abort();
    current.current = new AbortController();
    setPhase(next);
    setError('');
    setAgain(undefined);
    setEditing(undefined);
    return current.current.signal;
  }, []);

  useEffect(() => {
    dropDraft();
    return () => current.current.abort();
  }, []);

  const show = (next: Entry[]) => {
    shown.current = next;
    setEntries(next);
  };

  const patch = (key: string, change: Partial<Entry>) =>
    show(shown.current.map((entry) => (entry.key === key ? { ...entry, ...change } : entry)));

  const tell = (refused: unknown) => setError(refused instanceof Error ? refused.message : String(refused));

  const fail = (refused: unknown, retry?: () => void) => {
    setPhase('idle');
    if (isSignedOut(refused)) {
      if (session.kind === 'guest') onGuestsRefused();
      else onSignedOut();
      return;
    }
    tell(refused);
    setAgain(retry && (() => retry));
  };

  const askToStop = async (messageId: string) => {
    if (session.kind !== 'user') return;
    try {
      await stopMessage(session.token, messageId);
    } catch (refused) {
      setPhase((now) => (now === 'stopping' ? 'answering' : now));
      tell(refused);
    }
  };

  const showPage = (page: Page<StoredMessage>) => {
    const first = shown.current[0]?.key;
    show(renewed(shown.current, page.items, keys.current));
    // Older ones that are still shown were read further back.
    if (shown.current[0]?.key !== first || first === undefined || page.next === null) setOlder(page.next ?? undefined);
  };

  /** Learns what the server made of the turn: ids, versions, the stored text. Without it, the next reading does. */
  const settle = async (token: string, conversation: string, signal: AbortSignal, turn?: Turn) => {
    const page = await listMessages(token, conversation).catch(() => undefined);
    if (!page || signal.aborted) return;
    const answer = page.items.find(({ id }) => id === running.current.messageId);
    if (turn && answer) {
      keys.current.set(answer.id, answerKeyOf(turn));
      if (turn.kind !== 'regenerate' && answer.parent_id !== null) keys.current.set(answer.parent_id, turn.key);
    }
    showPage(page);
  };

  const runUserTurn = async (token: string, turn: Turn, signal: AbortSignal) => {
    const answerKey = answerKeyOf(turn);
    const { path, json } = requestOf(turn, conversationId);
    let conversation = conversationId;
    await watchAnswer(
      { token, path, begin: { json, key: turn.key }, signal },
      {
        saved: '',
        onStart: (event) => {
          conversation = event.conversation_id;
          setConversationId(conversation);
          running.current.messageId = event.message_id;
          patch(answerKey, { id: event.message_id });
          if (running.current.stopAsked) void askToStop(event.message_id);
          if (conversationId === undefined) onChanged();
        },
        onChange: (change) => patch(answerKey, change),
      },
    );
    if (conversation !== undefined && !signal.aborted) await settle(token, conversation, signal, turn);
  };

  const runGuestTurn = async (userId: string, turn: Turn, signal: AbortSignal) => {
    if (turn.kind !== 'send') return;
    const known = conversationId === undefined ? undefined : Number(conversationId);
    const answer = await sendAsGuest({ userId, conversationId: known, message: turn.message, key: turn.key });
    if (signal.aborted) return;
    setConversationId(String(answer.conversation_id));
    patch(answerKeyOf(turn), { state: 'done', text: answer.response });
  };

  const runTurn = async (turn: Turn, before: Entry[]) => {
    const signal = begin('answering');
    running.current = { stopAsked: false };
    show(begun(before, turn));
    try {
      if (session.kind === 'user') await runUserTurn(session.token, turn, signal);
      else await runGuestTurn(session.userId, turn, signal);
      if (signal.aborted) return;
      setPhase('idle');
      onChanged();
    } catch (refused) {
      if (signal.aborted) return;
      if (isRefusal(refused) && running.current.messageId === undefined) {
        show(before);
        giveBack(turn);
        fail(refused);
      } else if (session.kind === 'user' && isSignedOut(refused) && turn.kind === 'send' && running.current.messageId === undefined) {
        keepDraft(session.email, turn.message);
        fail(refused);
      } else {
        patch(answerKeyOf(turn), { state: 'failed' });
        fail(refused, () => void runTurn(turn, before));
      }
    }
  };

  const giveBack = (turn: Turn) => {
    if (turn.kind === 'send') setReturned({ text: turn.message, attached: turn.attached });
    else if (turn.kind === 'edit') setEditing({ id: turn.target, text: turn.message });
  };

  /** Reads on in the answer that is being written, when one is. */
  const follow = async (token: string, conversation: string, signal: AbortSignal) => {
    const answer = shown.current.at(-1);
    if (!isOpen(answer) || answer.id === undefined) return;
    setPhase('answering');
    running.current = { messageId: answer.id, stopAsked: false };
    const path = `/api/v1/chat/messages/${encodeURIComponent(answer.id)}/stream`;
    const { key, text: saved } = answer;
    await watchAnswer({ token, path, signal }, { saved, onStart: () => undefined, onChange: (change) => patch(key, change) });
    if (signal.aborted) return;
    await settle(token, conversation, signal);
    if (!signal.aborted) onChanged();
  };

  const load = async (token: string, id: string, prepare?: () => Promise<void>) => {
    const signal = begin('loading');
    try {
      await prepare?.();
      const page = await listMessages(token, id);
      if (signal.aborted) return;
      showPage(page);
      setPhase('idle');
      await follow(token, id, signal);
      if (!signal.aborted) setPhase('idle');
    } catch (refused) {
      if (signal.aborted) return;
      const last = shown.current.at(-1);
      if (isOpen(last)) patch(last.key, { state: 'failed' });
      fail(refused, () => void load(token, id));
    }
  };

  const loadOlder = async (token: string, id: string, before: string) => {
    const { signal } = current.current;
    setOlder(undefined);
    try {
      const page = await listMessages(token, id, before);
      if (signal.aborted) return;
      show([...renewed([], page.items, keys.current), ...shown.current]);
      setOlder(page.next ?? undefined);
    } catch (refused) {
      if (signal.aborted) return;
      setOlder(before);
      tell(refused);
    }
  };

  const rate = async (token: string, id: string, rating: Rating | undefined) => {
    const entry = shown.current.find((one) => one.id === id);
    if (!entry || conversationId === undefined) return;
    const { signal } = current.current;
    const put = (value: Rating | undefined) =>
      show(shown.current.map((one) => (one.id === id ? withRating(one, value) : one)));
    put(rating);
    try {
      await rateAnswer(token, conversationId, id, rating);
    } catch (refused) {
      if (signal.aborted) return;
      put(entry.rating);
      tell(refused);
    }
  };

  const actionsOf = (token: string): MessageActions => ({
    regenerate: (target) => void runTurn({ key: newKey(), kind: 'regenerate', target }, shown.current),
    edit: (entry) => setEditing(entry?.id === undefined ? undefined : { id: entry.id, text: entry.text }),
    sayDifferently: (target, message) => {
      const attached = shown.current.find(({ id }) => id === target)?.attached ?? [];
      void runTurn({ key: newKey(), kind: 'edit', target, message, attached }, shown.current);
    },
    switchTo: (id, key) => {
      if (conversationId === undefined) return;
      // The other version takes this one's place, with the focus that is on it.
      for (const [known, its] of keys.current) if (its === key) keys.current.delete(known);
      keys.current.set(id, key);
      void load(token, conversationId, () => switchBranch(token, conversationId, id));
    },
    rate: (id, rating) => void rate(token, id, rating),
  });

  const clear = () => {
    keys.current.clear();
    setOlder(undefined);
    show([]);
  };

  return {
    conversationId,
    entries,
    phase,
    error,
    editing,
    returned,
    actions: useLatest(session.kind === 'user' ? actionsOf(session.token) : undefined),
    retry: again,
    send: (message, attached = []) => void runTurn({ key: newKey(), kind: 'send', message, attached }, shown.current),
    stop: () => {
      if (phase !== 'answering') return;
      setPhase('stopping');
      const { messageId } = running.current;
      if (messageId === undefined) running.current.stopAsked = true;
      else void askToStop(messageId);
    },
    open: (id) => {
      if (session.kind !== 'user') return;
      clear();
      setConversationId(id);
      void load(session.token, id);
    },
    loadOlder:
      session.kind === 'user' && older !== undefined && conversationId !== undefined
        ? () => void loadOlder(session.token, conversationId, older)
        : undefined,
    reset: () => {
      begin('idle');
      setConversationId(undefined);
      clear();
    },
  };
}

function isSignedOut(refused: unknown): boolean {
  return refused instanceof ApiError && refused.status === 401;
}

/** Whether the server said no, and has stored nothing. */
function isRefusal(refused: unknown): boolean {
  return refused instanceof ApiError && refused.status >= 400 && refused.status < 500 && refused.status !== 401;
}

function withRating({ rating: _, ...entry }: Entry, rating: Rating | undefined): Entry {
  return rating ? { ...entry, rating } : entry;
}

/** The same object as long as there is one, whose functions are always the newest: what is drawn with it need not be drawn anew. */
function useLatest(actions: MessageActions | undefined): MessageActions | undefined {
  const latest = useRef(actions);
  useEffect(() => {
    latest.current = actions;
  });
  const [stable] = useState<MessageActions>(() => ({
    regenerate: (id) => latest.current?.regenerate(id),
    edit: (entry) => latest.current?.edit(entry),
    sayDifferently: (id, message) => latest.current?.sayDifferently(id, message),
    switchTo: (id, key) => latest.current?.switchTo(id, key),
    rate: (id, rating) => latest.current?.rate(id, rating),
  }));
  return actions && stable;
}
