import { useCallback, useEffect, useLayoutEffect, useRef, useState, type RefObject } from 'react';

const NEAR_PX = 80;

export interface StickToEnd {
  frame: RefObject<HTMLDivElement | null>;
  onScroll: () => void;
  atEnd: boolean;
  toEnd: () => void;
}

/** Keeps a scrolled frame at its end while it grows, unless the reader has scrolled up. */
export function useStickToEnd(content: unknown): StickToEnd {
  const frame = useRef<HTMLDivElement>(null);
  const stuck = useRef(true);
  const [atEnd, setAtEnd] = useState(true);

  const onScroll = useCallback(() => {
    const element = frame.current;
    if (!element) return;
    stuck.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
    setAtEnd(stuck.current);
  }, []);

  const toEnd = useCallback(() => {
    stuck.current = true;
    setAtEnd(true);
    frame.current?.scrollTo({ top: frame.current.scrollHeight });
  }, []);

  useLayoutEffect(() => {
    if (stuck.current) frame.current?.scrollTo({ top: frame.current.scrollHeight });
  }, [content]);

  // The frame also shrinks: a phone is turned, its keyboard opens, the message field grows.
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const observer = new ResizeObserver(() => {
      if (stuck.current) element.scrollTo({ top: element.scrollHeight });
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  return { frame, onScroll, atEnd, toEnd };
}
