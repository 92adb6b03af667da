import { useSession } from './auth/session';
import { SignIn } from './auth/SignIn';
import { ChatPage } from './chat/ChatPage';

export function App() {
  const auth = useSession();
  if (auth.resuming) return null;
  if (!auth.session) return <SignIn auth={auth} />;
  const who = auth.session.kind === 'user' ? auth.session.token : auth.session.userId;
  return <ChatPage key={who} session={auth.session} auth={auth} />;
}
