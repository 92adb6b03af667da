import { useState, type FormEvent } from 'react';

export interface Submit {
  busy: boolean;
  error: string;
  setError: (error: string) => void;
  onSubmit: (event: FormEvent) => void;
}

/** A form's one call: once at a time, and what is refused is told in `error`. */
export function useSubmit(call: () => Promise<void>): Submit {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');

  async function submit() {
    setBusy(true);
    setError('');
    try {
      await call();
    } catch (refused) {
      setError(refused instanceof Error ? refused.message : String(refused));
    } finally {
      setBusy(false);
    }
  }

  function onSubmit(event: FormEvent) {
    event.preventDefault();
    if (!busy) void submit();
  }

  return { busy, error, setError, onSubmit };
}
