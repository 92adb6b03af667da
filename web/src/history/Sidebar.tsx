import { AccountMenu } from '../account/AccountMenu';
import type { Session, SessionState } from '../auth/session';
import { Icon, Logo } from '../ui/icons';
import { ConversationList } from './ConversationList';
import type { History } from './useHistory';

interface Props {
  session: Session;
  auth: SessionState;
  history: History;
  current: string | undefined;
  open: boolean;
  onOpen: (id: string) => void;
  onNew: () => void;
  onDeleted: (id: string) => void;
  onClose: () => void;
  /** Says why, where the account is gone. */
  onSignOut: (why: string) => void;
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
        {session.kind === 'user' ? (
          <AccountMenu session={session} auth={props.auth} onSignOut={props.onSignOut} />
        ) : (
          <>
            <span className="who">Guest</span>
            <button type="button" className="link" onClick={() => props.onSignOut('')}>
              Sign in
            </button>
          </>
        )}
      </div>
    </aside>
  );
}
