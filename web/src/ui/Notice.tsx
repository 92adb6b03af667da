import type { ReactNode } from 'react';

interface Props {
  tone: 'info' | 'error';
  children: ReactNode;
  action?: { label: string; onClick: () => void } | undefined;
}

/** Words for the person, read out when they appear. */
export function Notice({ tone, children, action }: Props) {
  return (
    <div className={`notice ${tone}`} role={tone === 'error' ? 'alert' : 'status'}>
      <p>{children}</p>
      {action && (
        <button type="button" className="link" onClick={action.onClick}>
          {action.label}
        </button>
      )}
    </div>
  );
}
