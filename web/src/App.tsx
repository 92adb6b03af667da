import { MailLinkPage } from './auth/MailLinkPage';
import { useMailLink, type MailLink } from './auth/mailLink';
import { useSession } from './auth/session';
import { SignIn } from './auth/SignIn';
import { ChatPage } from './chat/ChatPage';

/** `mailLink` is the link that the page was opened with. */
export function App({ mailLink }: { mailLink: MailLink | undefined }) {
  const auth = useSession();
  const { link, done } = useMailLink(mailLink);
  if (auth.resuming) return null;
  if (link) {
    const onReset = () => {
      auth.leave('Your new password is set. Sign in with it.', false);
      done();
    };
    const email = auth.session?.kind === 'user' ? auth.session.email : '';
    return <MailLinkPage key={link.token} link={link} email={email} onReset={onReset} onLeave={done} />;
  }
  if (!auth.session) return <SignIn auth={auth} />;
  const who = auth.session.kind === 'user' ? auth.session.token : auth.session.userId;
  return <ChatPage key={who} session={auth.session} auth={auth} />;
}
