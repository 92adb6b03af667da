import { callJson } from './client';
import type { Conversation, Page } from './types';

export interface ConversationsWanted {
  limit: number;
  /** The `next` of the page before. */
  before?: string | undefined;
  /** Words that begin words of the title or of one message; empty for all. */
  q: string;
  /** Those in the archive, instead of those that are not. */
  archived: boolean;
}

/** Pinned ones first, then the newest first. */
export function listConversations(token: string, { limit, before, q, archived }: ConversationsWanted): Promise<Page<Conversation>> {
  const query = new URLSearchParams({ limit: String(limit) });
  if (before !== undefined) query.set('before', before);
  if (q.trim() !== '') query.set('q', q.trim());
  if (archived) query.set('archived', 'true');
  return callJson(`/api/v1/conversations?${query}`, { token });
}

/** What is left out stays as it is. */
export type ConversationChange = Partial<Pick<Conversation, 'pinned' | 'archived'>> & { title?: string };

export function changeConversation(token: string, id: string, change: ConversationChange): Promise<Conversation> {
  return callJson(addressOf(id), { method: 'PATCH', token, json: change });
}

export async function deleteConversation(token: string, id: string): Promise<void> {
  await callJson(addressOf(id), { method: 'DELETE', token });
}

/** Where a conversation stands. */
export function addressOf(id: string): string {
  return `/api/v1/conversations/${encodeURIComponent(id)}`;
}
