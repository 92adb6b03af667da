import { useEffect, useLayoutEffect, useRef, useState, type FormEvent, type KeyboardEvent } from 'react';
import { Icon, StopIcon } from '../ui/icons';
import { isTooLong, MessageLength } from './MessageLength';
import type { Phase } from './useChat';

interface Props {
  phase: Phase;
  canStop: boolean;
  /** Changes when the page turns to another conversation, which takes the focus here. */
  focusKey: string;
  /** A message that was refused: it is the draft again, before what has been written meanwhile. */
  returned: { text: string } | undefined;
  onSend: (message: string) => void;
  onStop: () => void;
}

export function Composer({ phase, canStop, focusKey, returned, onSend, onStop }: Props) {
  const [draft, setDraft] = useState('');
  const area = useRef<HTMLTextAreaElement>(null);
  const answering = phase === 'answering' || phase === 'stopping';
  const ready = phase === 'idle' && draft.trim() !== '' && !isTooLong(draft);

  useEffect(() => {
    if (returned) setDraft((now) => (now.trim() === '' ? returned.text : `${returned.text}\n\n${now}`));
  }, [returned]);

  useEffect(() => {
    focusDraft();
  }, [focusKey]);

  useLayoutEffect(() => {
    const element = area.current;
    if (!element) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight}px`;
  }, [draft]);

  function submit(event?: FormEvent) {
    event?.preventDefault();
    if (!ready) return;
    onSend(draft.trim());
    setDraft('');
  }

  function onKeyDown(event: KeyboardEvent) {
    // Enter also confirms a word in an input method; that one sends nothing.
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    submit();
  }

  return (
    <form className="composer" onSubmit={submit}>
      <div className="composer-box">
        <label htmlFor="draft" className="visually-hidden">
          Message
        </label>
        <textarea
          id="draft"
          ref={area}
          rows={1}
          dir="auto"
          placeholder="Write a message"
          aria-describedby="draft-hint"
          enterKeyHint="send"
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
          onKeyDown={onKeyDown}
        />
        {answering && canStop ? (
          <button type="button" className="round" aria-label="Stop the answer" disabled={phase === 'stopping'} onClick={onStop}>
            <StopIcon />
          </button>
        ) : (
          <button type="submit" className="round" aria-label="Send" disabled={!ready}>
            <Icon name="send" />
          </button>
        )}
      </div>
      <MessageLength text={draft} />
      <p className="hint" id="draft-hint">
        Enter sends, Shift+Enter begins a new line. Answers can be wrong: check what matters.
      </p>
    </form>
  );
}

/** Goes to the message field; not on a touch screen, where that would open the keyboard over what is to be read. */
export function focusDraft(): void {
  if (!matchMedia('(pointer: coarse)').matches) document.getElementById('draft')?.focus();
}
