import { useCallback, useEffect, useRef, useState } from 'react';
import { ApiError } from '../api/client';
import { listMessages, stopMessage } from '../api/conversations';
import { sendAsGuest } from '../api/guests';
import { streamAnswer } from '../api/stream';
import { newKey, type Session } from '../auth/session';
import { entriesOf, noteOf, type Entry } from './entries';

export type Phase = 'idle' | 'loading' | 'answering' | 'stopping';

interface Turn {
  key: string;
  message: string;
}

export interface Chat {
  conversationId: string | undefined;
  entries: Entry[];
  phase: Phase;
  error: string;
  send: (message: string) => void;
  /** Sends the failed turn again under its first key, so that it cannot count twice; or loads again. */
  retry: (() => void) | undefined;
  stop: () => void;
  open: (conversationId: string) => void;
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
  const [phase, setPhase] = useState<Phase>('idle');
  const [error, setError] = useState('');
  const [again, setAgain] = useState<() => void>();
  // What is under way; replaced whenever the page turns to something else, so that late news is dropped.
  const current = useRef(new AbortController());
  const running = useRef<{ messageId?: string; stopAsked: boolean }>({ stopAsked: false });

  const begin = useCallback((next: Phase) => {
    current.current.abort();
    current.current = new AbortController();
    setPhase(next);
    setError('');
    setAgain(undefined);
    return current.current.signal;
  }, []);

  useEffect(() => () => current.current.abort(), []);

  const fail = (refused: unknown, retry: () => void) => {
    setPhase('idle');
    if (refused instanceof ApiError && refused.status === 401) {
      if (session.kind === 'guest') onGuestsRefused();
      else onSignedOut();
      return;
    }
    setError(refused instanceof Error ? refused.message : String(refused));
    setAgain(() => retry);
  };

  const patch = (key: string, change: (entry: Entry) => Entry) =>
    setEntries((known) => known.map((entry) => (entry.key === key ? change(entry) : entry)));

  const askToStop = async (messageId: string) => {
    if (session.kind !== 'user') return;
    try {
      await stopMessage(session.token, messageId);
    } catch (refused) {
      setPhase((now) => (now === 'stopping' ? 'answering' : now));
      setError(refused instanceof Error ? refused.message : String(refused));
    }
  };

  const runUserTurn = async (token: string, turn: Turn, answerKey: string, signal: AbortSignal) => {
    const request = { token, message: turn.message, sessionId: conversationId, key: turn.key, signal };
    for await (const event of streamAnswer(request)) {
      if (signal.aborted) return;
      if (event.type === 'start') {
        setConversationId(event.session_id);
        running.current.messageId = event.message_id;
        if (running.current.stopAsked) void askToStop(event.message_id);
        if (conversationId === undefined) onChanged();
      } else if (event.type === 'chunk') {
        patch(answerKey, (entry) => ({ ...entry, state: 'writing', text: entry.text + event.content }));
      } else if (event.type === 'lost') {
        patch(answerKey, (entry) => ({ ...entry, state: 'lost' }));
      } else if (event.type === 'done') {
        patch(answerKey, (entry) => ({ ...entry, state: 'done', ...noteOf(event.finish_reason) }));
      } else {
        patch(answerKey, (entry) => ({ ...entry, state: 'failed' }));
        setError(event.detail);
      }
    }
  };

  const runGuestTurn = async (userId: string, turn: Turn, answerKey: string, signal: AbortSignal) => {
    const known = conversationId === undefined ? undefined : Number(conversationId);
    const answer = await sendAsGuest({ userId, conversationId: known, message: turn.message, key: turn.key });
    if (signal.aborted) return;
    setConversationId(String(answer.conversation_id));
    patch(answerKey, (entry) => ({ ...entry, state: 'done', text: answer.response }));
  };

  const runTurn = async (turn: Turn) => {
    const signal = begin('answering');
    running.current = { stopAsked: false };
    const answerKey = `${turn.key}-answer`;
    const question: Entry = { key: turn.key, role: 'user', text: turn.message, state: 'done' };
    const answer: Entry = { key: answerKey, role: 'assistant', text: '', state: 'waiting' };
    setEntries((known) => [...known.filter(({ key }) => key !== turn.key && key !== answerKey), question, answer]);
    try {
      if (session.kind === 'user') await runUserTurn(session.token, turn, answerKey, signal);
      else await runGuestTurn(session.userId, turn, answerKey, signal);
      if (signal.aborted) return;
      setPhase('idle');
      onChanged();
    } catch (refused) {
      if (signal.aborted) return;
      patch(answerKey, (entry) => ({ ...entry, state: 'failed' }));
      fail(refused, () => void runTurn(turn));
    }
  };

  const load = async (id: string, token: string) => {
    const signal = begin('loading');
    setConversationId(id);
    setEntries([]);
    try {
      const messages = await listMessages(token, id);
      if (signal.aborted) return;
      setEntries(entriesOf(messages));
      setPhase('idle');
    } catch (refused) {
      if (!signal.aborted) fail(refused, () => void load(id, token));
    }
  };

  return {
    conversationId,
    entries,
    phase,
    error,
    retry: again,
    send: (message) => void runTurn({ key: newKey(), message }),
    stop: () => {
      if (phase !== 'answering') return;
      setPhase('stopping');
      const { messageId } = running.current;
      if (messageId === undefined) running.current.stopAsked = true;
      else void askToStop(messageId);
    },
    open: (id) => {
      if (session.kind === 'user') void load(id, session.token);
    },
    reset: () => {
      begin('idle');
      setConversationId(undefined);
      setEntries([]);
    },
  };
}
