import { memo } from 'react';
import type { Entry } from './entries';
import { RichText } from './RichText';

export function MessageList({ entries, busy }: { entries: Entry[]; busy: boolean }) {
  return (
    // While `aria-busy`, screen readers hold an answer back that is still growing.
    <div className="messages" role="log" aria-label="Conversation" aria-busy={busy}>
      {entries.map((entry) => (
        <Message key={entry.key} entry={entry} />
      ))}
    </div>
  );
}

const Message = memo(function Message({ entry }: { entry: Entry }) {
  const mine = entry.role === 'user';
  return (
    <article className={mine ? 'message mine' : 'message'}>
      <h2 className="visually-hidden">{mine ? 'You' : 'Parlor'}</h2>
      <div className="message-body">
        {mine ? <p dir="auto">{entry.text}</p> : <RichText text={entry.text} growing={entry.state === 'writing'} />}
        {entry.state === 'waiting' && <Dots />}
        {entry.state === 'writing' && <span className="caret" aria-hidden="true" />}
        {entry.state === 'lost' && <p className="note">The connection broke. Picking the answer up again…</p>}
        {entry.state === 'failed' && <p className="note">{entry.text ? 'The answer ended early.' : 'No answer.'}</p>}
        {entry.state === 'done' && entry.note && <p className="note">{entry.note}</p>}
      </div>
    </article>
  );
});

function Dots() {
  return (
    <span className="dots" role="status" aria-label="Parlor is thinking">
      <i />
      <i />
      <i />
    </span>
  );
}
