import { useEffect, useState } from 'react';

const TOLD_MS = 1500;

/** Copies text, and says so for a moment. */
export function useCopy(): { copied: boolean; copy: (text: string) => void } {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), TOLD_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = (text: string) => {
    // Plain HTTP away from localhost has no clipboard; without the permission, too, the text can be selected by hand.
    void (navigator.clipboard as Clipboard | undefined)?.writeText(text).then(
      () => setCopied(true),
      () => undefined,
    );
  };
  return { copied, copy };
}
