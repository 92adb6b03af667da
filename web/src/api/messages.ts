import { callJson } from './client';
import { addressOf } from './conversations';
import type { Page, Rating, StoredMessage } from './types';

/** How many messages a page holds at most. */
const PER_PAGE = 100;

/** The newest messages of the active branch, oldest first; with `before`, those that stand before that one. */
export function listMessages(token: string, conversationId: string, before?: string): Promise<Page<StoredMessage>> {
  const query = new URLSearchParams({ limit: String(PER_PAGE) });
  if (before !== undefined) query.set('before', before);
  return callJson(`${addressOf(conversationId)}/messages?${query}`, { token });
}

/** Makes the branch through that message the active one. */
export async function switchBranch(token: string, conversationId: string, messageId: string): Promise<void> {
  await callJson(`${addressOf(conversationId)}/head`, { method: 'PUT', token, json: { message_id: messageId } });
}

/** Says whether an answer was good; undefined takes it back. */
export async function rateAnswer(
  token: string,
  conversationId: string,
  messageId: string,
  rating: Rating | undefined,
): Promise<void> {
  const path = `${addressOf(conversationId)}/messages/${encodeURIComponent(messageId)}/feedback`;
  await callJson(path, rating ? { method: 'PUT', token, json: { rating } } : { method: 'DELETE', token });
}

export async function stopMessage(token: string, messageId: string): Promise<void> {
  await callJson(`/api/v1/chat/messages/${encodeURIComponent(messageId)}/stop`, { method: 'POST', token });
}
