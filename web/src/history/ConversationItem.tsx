import type { Conversation } from '../api/types';
import { Icon } from '../ui/icons';
import { Menu } from '../ui/Menu';
import { nameOf } from './useHistory';
import { whenShort } from './when';

interface Props {
  item: Conversation;
  isCurrent: boolean;
  onOpen: () => void;
  onRename: () => void;
  onChange: (change: { pinned?: boolean; archived?: boolean }) => void;
  onDelete: () => void;
}

export function ConversationItem({ item, isCurrent, onOpen, onRename, onChange, onDelete }: Props) {
  const name = nameOf(item);
  return (
    <li className={isCurrent ? 'current' : undefined}>
      <button type="button" className="conversation" aria-current={isCurrent ? 'page' : undefined} onClick={onOpen}>
        {item.pinned && <Icon name="pin" />}
        {item.pinned && <span className="visually-hidden">Pinned: </span>}
        <span className="conversation-text" dir="auto">
          {name}
        </span>
        <time dateTime={item.updated_at}>{whenShort(item.updated_at)}</time>
      </button>
      <Menu
        label={`More for “${name}”`}
        className="icon-button more"
        items={[
          { label: 'Rename', onPick: onRename },
          { label: item.pinned ? 'Unpin' : 'Pin', onPick: () => onChange({ pinned: !item.pinned }) },
          { label: item.archived ? 'Take out of the archive' : 'Archive', onPick: () => onChange({ archived: !item.archived }) },
          { label: 'Delete', danger: true, onPick: onDelete },
        ]}
      >
        <Icon name="more" />
      </Menu>
    </li>
  );
}
