import { addressOf } from '../api/conversations';
import type { Attached, Entry } from './entries';

/** What somebody asks for. `key` names it, however often it is sent. */
export type Turn = { key: string } & (
  | { kind: 'send'; message: string; attached: Attached[] }
  /** Says the message `target` differently. */
  | { kind: 'edit'; target: string; message: string; attached: Attached[] }
  /** Asks for another answer in the place of `target`. */
  | { kind: 'regenerate'; target: string }
);

export function answerKeyOf(turn: Turn): string {
  return `${turn.key}-answer`;
}

/** What is shown once the turn has been asked for. */
export function begun(shown: Entry[], turn: Turn): Entry[] {
  const at = turn.kind === 'send' ? -1 : shown.findIndex(({ id }) => id === turn.target);
  const before = at < 0 ? shown : shown.slice(0, at);
  const answer: Entry = { key: answerKeyOf(turn), role: 'assistant', text: '', state: 'waiting' };
  if (turn.kind === 'regenerate') return [...before, answer];
  const attached = turn.attached.length > 0 ? { attached: turn.attached } : {};
  return [...before, { key: turn.key, role: 'user', text: turn.message, state: 'done', ...attached }, answer];
}

/** The call that begins the turn. */
export function requestOf(turn: Turn, conversationId: string | undefined): { path: string; json: unknown } {
  if (turn.kind === 'send' || conversationId === undefined) {
    const message = turn.kind === 'regenerate' ? '' : turn.message;
    return { path: '/api/v1/chat/stream', json: { message, conversation_id: conversationId, ...attachmentsOf(turn) } };
  }
  const target = `${addressOf(conversationId)}/messages/${encodeURIComponent(turn.target)}`;
  if (turn.kind === 'edit') return { path: `${target}/edit`, json: { message: turn.message, ...attachmentsOf(turn) } };
  return { path: `${target}/regenerate`, json: {} };
}

/** A file that was deleted cannot be sent again. */
function attachmentsOf(turn: Turn): { attachments?: string[] } {
  const attached = turn.kind === 'regenerate' ? [] : turn.attached.filter(({ deleted }) => !deleted);
  return attached.length > 0 ? { attachments: attached.map(({ url }) => url) } : {};
}
