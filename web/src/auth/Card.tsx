import type { ReactNode } from 'react';
import { Logo } from '../ui/icons';

/** The frame of the pages that stand before the chat. */
export function Card({ title, children }: { title: string; children: ReactNode }) {
  return (
    <main className="signin">
      <div className="signin-card">
        <Logo className="signin-logo" />
        <h1>{title}</h1>
        {children}
      </div>
      <footer className="signin-foot">
        <a href="/docs">API</a>
        <span aria-hidden="true">·</span>
        <a href="/redoc">Reference</a>
      </footer>
    </main>
  );
}

/** What the server asks of a new password. */
export const PASSWORD_RULE = '8 to 128 characters.';
