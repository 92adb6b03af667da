import { useCallback, useEffect, useLayoutEffect, useRef, useState, type RefObject } from 'react';

const NEAR_PX = 80;

export interface StickToEnd {
  frame: RefObject<HTMLDivElement | null>;
  onScroll: () => void;
  atEnd: boolean;
  toEnd: () => void;
}

/**
 * Keeps a scrolled frame at its end while it grows, unless the reader has scrolled up; then what is read stays where it is.
 *
 * @param first names what stands first: when that changes, something came before it.
 */
export function useStickToEnd(content: unknown, first: string | undefined): StickToEnd {
  const frame = useRef<HTMLDivElement>(null);
  const stuck = useRef(true);
  const before = useRef<{ first: string | undefined; height: number }>({ first: undefined, height: 0 });
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
    const element = frame.current;
    if (!element) return;
    if (stuck.current) element.scrollTo({ top: element.scrollHeight });
    else if (before.current.first !== first) element.scrollTop += element.scrollHeight - before.current.height;
    before.current = { first, height: element.scrollHeight };
  }, [content, first]);

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
