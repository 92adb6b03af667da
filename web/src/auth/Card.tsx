import { useId, type InputHTMLAttributes, type ReactNode } from 'react';
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

type FieldProps = Omit<InputHTMLAttributes<HTMLInputElement>, 'onChange' | 'value' | 'id'> & {
  label: string;
  hint?: string | undefined;
  value: string;
  onChange: (value: string) => void;
};

/** A labelled field that has to be filled in. */
export function Field({ label, hint, onChange, ...input }: FieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        {...input}
        id={id}
        required
        aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={(event) => onChange(event.target.value)}
      />
      {hint && (
        <p className="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

/** What the server asks of a new password. */
export const PASSWORD_RULE = '8 to 128 characters.';
