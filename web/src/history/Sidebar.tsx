import type { Session } from '../auth/session';
import { Icon, Logo } from '../ui/icons';
import { ConversationList } from './ConversationList';
import type { History } from './useHistory';

interface Props {
  session: Session;
  history: History;
  current: string | undefined;
  open: boolean;
  onOpen: (id: string) => void;
  onNew: () => void;
  onDeleted: (id: string) => void;
  onClose: () => void;
  onSignOut: () => void;
}

export function Sidebar(props: Props) {
  const { session, history, current, open } = props;
  return (
    <aside className={open ? 'sidebar open' : 'sidebar'} id="sidebar" aria-label="Conversations">
      <div className="sidebar-head">
        <Logo />
        <span className="brand">Parlor</span>
        <button type="button" className="icon-button only-narrow" aria-label="Close the list" onClick={props.onClose}>
          <Icon name="close" />
        </button>
      </div>
      <button type="button" className="button new-chat" onClick={props.onNew}>
        <Icon name="plus" /> New chat
      </button>
      {session.kind === 'user' ? (
        <ConversationList history={history} current={current} onOpen={props.onOpen} onDeleted={props.onDeleted} />
      ) : (
        <p className="quiet guest-words">
          You are here as a guest. Sign in to keep your conversations and see answers as they are written.
        </p>
      )}
      <div className="sidebar-foot">
        <span className="who">{session.kind === 'user' ? session.email : 'Guest'}</span>
        <button type="button" className="link" onClick={props.onSignOut}>
          {session.kind === 'user' ? 'Sign out' : 'Sign in'}
        </button>
      </div>
    </aside>
  );
}
