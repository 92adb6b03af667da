import { useCallback, useEffect, useRef, useState } from 'react';
import { dataUrlOf, deleteFile, uploadFile } from '../api/files';
import { newKey } from '../auth/session';
import { attachedFile, type Attached } from './entries';

/** How many things may go with a message. */
const AT_MOST = 10;

/** A file on its way to the server, or there. */
export interface Upload {
  key: string;
  name: string;
  /** What is shown of a picture. */
  preview?: string;
  /** Why it was not taken. */
  error?: string;
  /** What goes with the message, once it is there. */
  attached?: Attached;
  /** The server's id of it. */
  id?: string;
}

export interface Uploads {
  items: Upload[];
  /** All of them are there. */
  ready: boolean;
  add: (files: Iterable<File>) => void;
  remove: (key: string) => void;
  /** Puts back what a refused message took. */
  putBack: (attached: Attached[]) => void;
  /** Hands them over to the message that is sent. */
  take: () => Attached[];
}

/** The files that are to go with the next message. */
export function useUploads(token: string | undefined): Uploads {
  const [items, setItems] = useState<Upload[]>([]);
  const gone = useRef(false);

  useEffect(() => {
    gone.current = false;
    return () => {
      gone.current = true;
    };
  }, []);

  const patch = (key: string, change: Partial<Upload>) => {
    if (!gone.current) setItems((now) => now.map((item) => (item.key === key ? { ...item, ...change } : item)));
  };

  const upload = async (key: string, file: File) => {
    if (token === undefined) return;
    if (file.type.startsWith('image/')) void dataUrlOf(file).then((preview) => patch(key, { preview }), () => undefined);
    try {
      const stored = await uploadFile(token, file);
      patch(key, { attached: attachedFile(stored), id: stored.id });
    } catch (refused) {
      patch(key, { error: refused instanceof Error ? refused.message : String(refused) });
    }
  };

  return {
    items,
    ready: items.every(({ attached }) => attached !== undefined),
    add: (files) => {
      const room = Math.max(0, AT_MOST - items.length);
      const wanted = [...files].slice(0, room).map((file) => ({ key: newKey(), file }));
      setItems((now) => [...now, ...wanted.map(({ key, file }) => ({ key, name: file.name }))]);
      for (const { key, file } of wanted) void upload(key, file);
    },
    remove: (key) => {
      const id = items.find((item) => item.key === key)?.id;
      // Nobody else names it; should this fail, it stays among the account's files.
      if (token !== undefined && id !== undefined) void deleteFile(token, id).catch(() => undefined);
      setItems((now) => now.filter((item) => item.key !== key));
    },
    putBack: useCallback((attached) => {
      const back = attached.filter(({ deleted }) => !deleted);
      setItems((now) => [...back.map((one) => ({ key: newKey(), name: one.name ?? one.url, attached: one })), ...now]);
    }, []),
    take: () => {
      setItems([]);
      return items.flatMap(({ attached }) => (attached ? [attached] : []));
    },
  };
}
