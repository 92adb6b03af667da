import { useCallback, useEffect, useRef, useState } from 'react';
import type { Session, SessionState } from '../auth/session';
import { Sidebar } from '../history/Sidebar';
import { nameOf, useHistory } from '../history/useHistory';
import { Icon } from '../ui/icons';
import { Notice } from '../ui/Notice';
import { FileToken } from './AttachedList';
import { Composer, focusDraft } from './Composer';
import { EmptyChat } from './EmptyChat';
import { MessageList } from './MessageList';
import { useChat } from './useChat';
import { useStickToEnd } from './useStickToEnd';

const ADDRESS = /^#\/c\/([0-9]{1,16})$/;

export function ChatPage({ session, auth }: { session: Session; auth: SessionState }) {
  const [drawer, setDrawer] = useState(false);
  const { leave, refuseGuests } = auth;
  const signedOut = useCallback(() => leave('Your session has ended. Please sign in again.', false), [leave]);
  const history = useHistory(session.kind === 'user' ? session.token : undefined, signedOut);
  const chat = useChat(session, { onSignedOut: signedOut, onGuestsRefused: refuseGuests, onChanged: history.refresh });
  const end = useStickToEnd(chat.entries, chat.entries[0]?.key);
  const { conversationId, entries, phase } = chat;
  const listed = history.items.find(({ id }) => id === conversationId);
  const opening = phase === 'loading' && entries.length === 0;

  // A reload comes back to the conversation that the address names.
  const [named] = useState(() => ADDRESS.exec(location.hash)?.[1]);
  const openFirst = useRef(chat.open);
  useEffect(() => {
    if (named) openFirst.current(named);
  }, [named]);
  useEffect(() => {
    const has = session.kind === 'user' && conversationId !== undefined;
    if (has || phase === 'idle') window.history.replaceState(null, '', has ? `#/c/${conversationId}` : '/');
  }, [session.kind, conversationId, phase]);

  useEffect(() => {
    // News stand beside the chat, under the drawer.
    if (auth.notice) setDrawer(false);
  }, [auth.notice]);

  useEffect(() => {
    // What an answer was asked for with may be gone, and the focus with it.
    if (phase === 'answering' && document.activeElement === document.body) focusDraft();
  }, [phase]);

  useEffect(() => {
    if (!drawer) return;
    const close = (event: KeyboardEvent) => event.key === 'Escape' && setDrawer(false);
    addEventListener('keydown', close);
    return () => removeEventListener('keydown', close);
  }, [drawer]);

  function turnTo(act: () => void) {
    setDrawer(false);
    end.toEnd();
    act();
  }

  function signOut(why: string) {
    // Whoever signs in next begins on a fresh page; a session that ran out comes back to its conversation.
    window.history.replaceState(null, '', '/');
    leave(why, true);
  }

  return (
    <div className="page">
      <a className="skip" href="#draft" onClick={skipToDraft}>
        Skip to the message field
      </a>
      <Sidebar
        session={session}
        auth={auth}
        history={history}
        current={conversationId}
        open={drawer}
        onOpen={(id) => turnTo(() => chat.open(id))}
        onNew={() => turnTo(chat.reset)}
        onDeleted={(id) => id === conversationId && chat.reset()}
        onClose={() => setDrawer(false)}
        onSignOut={signOut}
      />
      {drawer && <div className="veil" onClick={() => setDrawer(false)} />}
      <main className="chat" inert={drawer}>
        <header className="chat-head only-narrow">
          <button
            type="button"
            className="icon-button"
            aria-label="Conversations"
            aria-expanded={drawer}
            aria-controls="sidebar"
            onClick={() => setDrawer(true)}
          >
            <Icon name="menu" />
          </button>
          <span className="brand">Parlor</span>
          <button type="button" className="icon-button" aria-label="New chat" onClick={() => turnTo(chat.reset)}>
            <Icon name="plus" />
          </button>
        </header>
        {auth.notice && (
          <div className="news">
            <Notice tone="info" action={{ label: 'Close', onClick: () => auth.tell('') }}>
              {auth.notice}
            </Notice>
          </div>
        )}
        <div className="scroll" ref={end.frame} onScroll={end.onScroll}>
          {opening && <p className="loading" role="status">Opening the conversation…</p>}
          {phase === 'idle' && entries.length === 0 && !chat.error && <EmptyChat onPick={chat.send} />}
          {entries.length > 0 && (
            <h1 className="visually-hidden" dir="auto">
              {listed ? nameOf(listed) : 'Conversation'}
            </h1>
          )}
          {entries.length > 0 && (
            <FileToken value={session.kind === 'user' ? session.token : undefined}>
              <MessageList chat={chat} busy={phase !== 'idle'} />
            </FileToken>
          )}
          <div className="under-messages">
            {chat.error && (
              <Notice tone="error" action={chat.retry && { label: 'Try again', onClick: chat.retry }}>
                {chat.error}
              </Notice>
            )}
          </div>
        </div>
        {!end.atEnd && (
          <button type="button" className="to-end" aria-label="Go to the newest message" onClick={end.toEnd}>
            <Icon name="toEnd" />
          </button>
        )}
        <Composer
          phase={phase}
          canStop={session.kind === 'user'}
          token={session.kind === 'user' ? session.token : undefined}
          focusKey={opening ? '' : (conversationId ?? 'new')}
          returned={chat.returned}
          onSend={(message, attached) => turnTo(() => chat.send(message, attached))}
          onStop={chat.stop}
        />
      </main>
    </div>
  );
}

/** The address already names the conversation, so the jump must not change it. */
function skipToDraft(event: { preventDefault: () => void }) {
  event.preventDefault();
  document.getElementById('draft')?.focus();
}
