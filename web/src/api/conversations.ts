import { callJson } from './client';
import type { HistoryPage, StoredMessage } from './types';

export function listHistory(token: string, page: number, perPage: number): Promise<HistoryPage> {
  return callJson(`/api/history?page=${page}&per_page=${perPage}`, { token });
}

export function listMessages(token: string, conversationId: string): Promise<StoredMessage[]> {
  return callJson(`/conversations/${encodeURIComponent(conversationId)}/messages`, { token });
}

export async function deleteConversation(token: string, conversationId: string): Promise<void> {
  await callJson(`/conversations/${encodeURIComponent(conversationId)}`, { method: 'DELETE', token });
}

export async function stopMessage(token: string, messageId: string): Promise<void> {
  await callJson(`/api/v1/chat/messages/${encodeURIComponent(messageId)}/stop`, { method: 'POST', token });
}
