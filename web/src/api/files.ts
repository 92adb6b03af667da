import { callJson, send, unreachable } from './client';
import type { UploadedFile } from './types';

/** The largest files take a while on a slow line. */
const UPLOAD_TIMEOUT_MS = 600_000;
const READ_TIMEOUT_MS = 120_000;

export function uploadFile(token: string, file: File): Promise<UploadedFile> {
  const form = new FormData();
  form.append('file', file, file.name);
  return callJson('/api/v1/files', { method: 'POST', token, form }, UPLOAD_TIMEOUT_MS);
}

export async function deleteFile(token: string, id: string): Promise<void> {
  await callJson(`/api/v1/files/${encodeURIComponent(id)}`, { method: 'DELETE', token });
}

/** A file's content, from the path that names it. */
export async function readFile(token: string, url: string): Promise<Blob> {
  const response = await send(url, { token, signal: AbortSignal.timeout(READ_TIMEOUT_MS) });
  try {
    const type = response.headers.get('Content-Type') ?? '';
    return new Blob([await response.arrayBuffer()], { type });
  } catch (error) {
    throw unreachable(error);
  }
}

/** The content as an address that a picture can be shown from: the page's policy lets no other in. */
export function dataUrlOf(content: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error ?? new Error('The file can’t be read.'));
    reader.readAsDataURL(content);
  });
}
