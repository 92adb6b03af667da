import { useEffect, useId, useRef, type ReactNode } from 'react';
import { Notice } from './Notice';
import { useSubmit } from './useSubmit';

interface Props {
  title: string;
  text?: string;
  confirm: string;
  danger?: boolean;
  /** The fields. */
  children?: ReactNode;
  /** What it throws is shown, and the dialog stays. */
  onConfirm: () => Promise<void>;
  onClose: () => void;
}

/** A modal form; it closes when what it asks for has been done. */
export function FormDialog({ title, text, confirm, danger = false, children, onConfirm, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const { busy, error, onSubmit } = useSubmit(async () => {
    await onConfirm();
    dialog.current?.close();
  });
  useEffect(() => {
    if (!dialog.current?.open) dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {text && <p>{text}</p>}
      <form className="dialog-form" onSubmit={onSubmit}>
        {error && <Notice tone="error">{error}</Notice>}
        {children}
        <div className="dialog-buttons">
          <button type="button" className="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" className={danger ? 'button danger' : 'button primary'} disabled={busy}>
            {confirm}
          </button>
        </div>
      </form>
    </dialog>
  );
}
