import { useState } from 'react';
import { changePassword, deleteAccount, endOtherSessions, exportData } from '../api/accounts';
import type { Session, SessionState } from '../auth/session';
import { FormDialog } from '../ui/FormDialog';
import { Icon } from '../ui/icons';
import { Menu } from '../ui/Menu';
import { saveFile } from '../ui/saveFile';
import { ChangePassword } from './ChangePassword';
import { DeleteAccount } from './DeleteAccount';

interface Props {
  session: Extract<Session, { kind: 'user' }>;
  auth: SessionState;
  /** Says why, where the account is gone. */
  onSignOut: (why: string) => void;
}

type Asked = 'password' | 'sessions' | 'export' | 'delete';

/** What can be done with one's account. */
export function AccountMenu({ session: { token, email }, auth, onSignOut }: Props) {
  const [asked, setAsked] = useState<Asked>();
  const close = () => setAsked(undefined);
  return (
    <>
      <Menu
        className="account"
        items={[
          { label: 'Change the password', onPick: () => setAsked('password') },
          { label: 'Sign out everywhere else', onPick: () => setAsked('sessions') },
          { label: 'Export my data', onPick: () => setAsked('export') },
          { label: 'Delete the account', danger: true, onPick: () => setAsked('delete') },
          { label: 'Sign out', onPick: () => onSignOut('') },
        ]}
      >
        <span className="who">
          <span className="visually-hidden">Account: </span>
          {email || 'Signed in'}
        </span>
        <Icon name="more" />
      </Menu>
      {asked === 'password' && (
        <ChangePassword
          onChange={async (current, next) => {
            const fresh = await changePassword(token, current, next);
            auth.enter({ kind: 'user', token: fresh, email });
            auth.tell('Your password has been changed. All other sessions and all API keys have ended.');
          }}
          onClose={close}
        />
      )}
      {asked === 'sessions' && (
        <FormDialog
          title="Sign out everywhere else?"
          text="Every other browser and app that is signed in to your account has to sign in again, within minutes. API keys stay."
          confirm="Sign out"
          onConfirm={async () => {
            const ended = await endOtherSessions(token);
            auth.tell(ended === 0 ? 'There was no other session.' : `Other sessions that have ended: ${ended}.`);
          }}
          onClose={close}
        />
      )}
      {asked === 'export' && (
        <FormDialog
          title="Export your data"
          text="One JSON file with all that is kept of you: your account, your conversations, what you used. It can take a while."
          confirm="Save the file"
          onConfirm={async () => saveFile(await exportData(token), 'parlor-export.json')}
          onClose={close}
        />
      )}
      {asked === 'delete' && (
        <DeleteAccount
          onDelete={async (password) => {
            await deleteAccount(token, password);
            onSignOut('Your account has been deleted.');
          }}
          onClose={close}
        />
      )}
    </>
  );
}
