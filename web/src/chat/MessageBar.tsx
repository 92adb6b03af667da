import type { Rating } from '../api/types';
import { Icon } from '../ui/icons';
import { useCopy } from '../ui/useCopy';
import type { Entry } from './entries';
import type { MessageActions } from './useChat';

interface Props {
  entry: Entry;
  /** Undefined for guests. */
  actions: MessageActions | undefined;
  /** Something is under way: nothing can be begun. */
  busy: boolean;
  /** Puts the focus on the button that edits, when it appears. */
  focusEdit: boolean;
}

/** What can be done with a message. */
export function MessageBar({ entry, actions, busy, focusEdit }: Props) {
  const { id, role, text } = entry;
  return (
    <div className="message-bar">
      {actions && <Versions entry={entry} busy={busy} onSwitch={actions.switchTo} />}
      {text !== '' && <CopyButton text={text} />}
      {actions && id !== undefined && role === 'user' && (
        <button
          type="button"
          className="icon-button"
          aria-label="Edit"
          title="Edit"
          autoFocus={focusEdit}
          disabled={busy}
          onClick={() => actions.edit(entry)}
        >
          <Icon name="edit" />
        </button>
      )}
      {actions && id !== undefined && role === 'assistant' && (
        <>
          {text !== '' && <RateButton entry={entry} id={id} rating="up" label="Good answer" onRate={actions.rate} />}
          {text !== '' && <RateButton entry={entry} id={id} rating="down" label="Bad answer" onRate={actions.rate} />}
          <button
            type="button"
            className="icon-button"
            aria-label="Answer again"
            title="Answer again"
            disabled={busy}
            onClick={() => actions.regenerate(id)}
          >
            <Icon name="again" />
          </button>
        </>
      )}
    </div>
  );
}

function CopyButton({ text }: { text: string }) {
  const { copied, copy } = useCopy();
  return (
    <button type="button" className="icon-button" aria-label={copied ? 'Copied' : 'Copy'} title="Copy" onClick={() => copy(text)}>
      <Icon name={copied ? 'check' : 'copy'} />
    </button>
  );
}

interface RateProps {
  entry: Entry;
  id: string;
  rating: Rating;
  label: string;
  onRate: MessageActions['rate'];
}

function RateButton({ entry, id, rating, label, onRate }: RateProps) {
  const given = entry.rating === rating;
  return (
    <button
      type="button"
      className={given ? 'icon-button given' : 'icon-button'}
      aria-label={label}
      title={label}
      aria-pressed={given}
      onClick={() => onRate(id, given ? undefined : rating)}
    >
      <Icon name={rating} />
    </button>
  );
}

interface VersionsProps {
  entry: Entry;
  busy: boolean;
  onSwitch: MessageActions['switchTo'];
}

function Versions({ entry, busy, onSwitch }: VersionsProps) {
  if (!entry.versions) return null;
  const { index, ids } = entry.versions;
  const button = (to: number, label: string, icon: 'left' | 'right') => {
    const id = ids[to];
    // Not `disabled`, which would take the focus away at either end.
    const off = busy || id === undefined;
    return (
      <button
        type="button"
        className="icon-button"
        aria-label={label}
        title={label}
        aria-disabled={off}
        onClick={() => !off && onSwitch(id, entry.key)}
      >
        <Icon name={icon} />
      </button>
    );
  };
  return (
    <span className="versions" role="group" aria-label="Versions">
      {button(index - 1, 'Version before', 'left')}
      <span aria-live="polite">
        <span className="visually-hidden">Version </span>
        {index + 1}/{ids.length}
      </span>
      {button(index + 1, 'Next version', 'right')}
    </span>
  );
}
