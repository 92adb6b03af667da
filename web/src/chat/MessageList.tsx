import { memo, useState } from 'react';
import { Notice } from '../ui/Notice';
import { AttachedList } from './AttachedList';
import { EditForm } from './EditForm';
import { isOpen, type Entry } from './entries';
import { MessageBar } from './MessageBar';
import { RichText } from './RichText';
import type { Chat, MessageActions } from './useChat';

interface Props {
  chat: Chat;
  /** Nothing can be begun. */
  busy: boolean;
}

export function MessageList({ chat, busy }: Props) {
  const { entries, editing, actions, loadOlder } = chat;
  return (
    // While `aria-busy`, screen readers hold an answer back that is still growing.
    <div className="messages" role="log" aria-label="Conversation" aria-busy={isOpen(entries.at(-1))}>
      {loadOlder && (
        <button type="button" className="link earlier" onClick={loadOlder}>
          Show earlier messages
        </button>
      )}
      {entries.map((entry) => (
        <Message
          key={entry.key}
          entry={entry}
          actions={actions}
          busy={busy}
          edited={editing && editing.id === entry.id ? editing.text : undefined}
        />
      ))}
    </div>
  );
}

interface MessageProps {
  entry: Entry;
  actions: MessageActions | undefined;
  busy: boolean;
  /** What is being written instead of the message; undefined while it is not edited. */
  edited: string | undefined;
}

const Message = memo(function Message({ entry, actions, busy, edited }: MessageProps) {
  const { id, text, state } = entry;
  const mine = entry.role === 'user';
  // Whoever gives up editing comes back to the button that began it.
  const [begun, setBegun] = useState(false);
  if (edited !== undefined && !begun) setBegun(true);
  if (actions && edited !== undefined && id !== undefined) {
    return (
      <article className="message">
        <EditForm text={edited} onSave={(words) => actions.sayDifferently(id, words)} onCancel={() => actions.edit(undefined)} />
      </article>
    );
  }
  return (
    <article className={mine ? 'message mine' : 'message'}>
      <h2 className="visually-hidden">{mine ? 'You' : 'Parlor'}</h2>
      <div className="message-body">
        {entry.attached && <AttachedList attached={entry.attached} />}
        {mine ? <p dir="auto">{text}</p> : <RichText text={text} growing={state === 'writing'} />}
        {state === 'waiting' && <Dots />}
        {state === 'writing' && <span className="caret" aria-hidden="true" />}
        {state === 'lost' && <p className="note">The connection broke. Picking the answer up again…</p>}
        {state === 'failed' && <Failure entry={entry} actions={actions} busy={busy} />}
        {state === 'done' && entry.note && <p className="note">{entry.note}</p>}
      </div>
      {!isOpen(entry) && <MessageBar entry={entry} actions={actions} busy={busy} focusEdit={begun} />}
    </article>
  );
});

function Failure({ entry: { id, text, note }, actions, busy }: Omit<MessageProps, 'edited'>) {
  const words = note ?? (text ? 'The answer ended early.' : 'No answer.');
  // Otherwise the page says below what went wrong.
  if (!note) return <p className="note">{words}</p>;
  const again = actions && id !== undefined && !busy;
  return (
    <Notice tone="error" action={again ? { label: 'Answer again', onClick: () => actions.regenerate(id) } : undefined}>
      {words}
    </Notice>
  );
}

function Dots() {
  return (
    <span className="dots" role="status" aria-label="Parlor is thinking">
      <i />
      <i />
      <i />
    </span>
  );
}
