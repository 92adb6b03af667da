import { useEffect, useLayoutEffect, useRef, useState, type ClipboardEvent, type FormEvent, type KeyboardEvent } from 'react';
import { Icon, StopIcon } from '../ui/icons';
import type { Attached } from './entries';
import { isTooLong, MessageLength } from './MessageLength';
import { UploadList } from './UploadList';
import type { Phase } from './useChat';
import { useUploads } from './useUploads';

interface Props {
  phase: Phase;
  canStop: boolean;
  /** With which files are uploaded; undefined for guests, who have none. */
  token: string | undefined;
  /** Changes when the page turns to another conversation, which takes the focus here. */
  focusKey: string;
  /** A message that was refused: it is the draft again, before what has been written meanwhile. */
  returned: { text: string; attached: Attached[] } | undefined;
  onSend: (message: string, attached: Attached[]) => void;
  onStop: () => void;
}

export function Composer({ phase, canStop, token, focusKey, returned, onSend, onStop }: Props) {
  const [draft, setDraft] = useState('');
  const uploads = useUploads(token);
  const { putBack } = uploads;
  const area = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const answering = phase === 'answering' || phase === 'stopping';
  const ready = phase === 'idle' && draft.trim() !== '' && !isTooLong(draft) && uploads.ready;

  useEffect(() => {
    if (!returned) return;
    setDraft((now) => (now.trim() === '' ? returned.text : `${returned.text}\n\n${now}`));
    putBack(returned.attached);
  }, [returned, putBack]);

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
    onSend(draft.trim(), uploads.take());
    setDraft('');
  }

  function onKeyDown(event: KeyboardEvent) {
    // Enter also confirms a word in an input method; that one sends nothing.
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    submit();
  }

  function onPaste(event: ClipboardEvent) {
    const { files } = event.clipboardData;
    if (token === undefined || files.length === 0) return;
    event.preventDefault();
    uploads.add(files);
  }

  return (
    <form className="composer" onSubmit={submit}>
      <UploadList uploads={uploads} />
      <div className="composer-box">
        {token !== undefined && (
          <>
            <input
              ref={picker}
              type="file"
              multiple
              hidden
              aria-label="Files"
              onChange={({ target }) => {
                uploads.add(target.files ?? []);
                target.value = '';
              }}
            />
            <button type="button" className="icon-button attach" aria-label="Attach files" title="Attach files" onClick={() => picker.current?.click()}>
              <Icon name="clip" />
            </button>
          </>
        )}
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
          onPaste={onPaste}
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
