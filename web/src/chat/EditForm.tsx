import { useState, type FormEvent, type KeyboardEvent } from 'react';
import { isTooLong, MessageLength } from './MessageLength';

interface Props {
  text: string;
  onSave: (text: string) => void;
  onCancel: () => void;
}

/** Says a message differently. */
export function EditForm({ text, onSave, onCancel }: Props) {
  const [draft, setDraft] = useState(text);
  const ready = draft.trim() !== '' && !isTooLong(draft);

  function submit(event: FormEvent) {
    event.preventDefault();
    if (ready) onSave(draft.trim());
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.key === 'Escape' && !event.nativeEvent.isComposing) onCancel();
  }

  return (
    <form className="edit" onSubmit={submit} onKeyDown={onKeyDown}>
      <textarea
        aria-label="Your message"
        dir="auto"
        autoFocus
        rows={Math.min(10, draft.split('\n').length + 1)}
        value={draft}
        onFocus={(event) => event.target.setSelectionRange(draft.length, draft.length)}
        onChange={(event) => setDraft(event.target.value)}
      />
      <MessageLength text={draft} />
      <div className="edit-buttons">
        <button type="button" className="button" onClick={onCancel}>
          Cancel
        </button>
        <button type="submit" className="button primary" disabled={!ready}>
          Send
        </button>
      </div>
    </form>
  );
}
