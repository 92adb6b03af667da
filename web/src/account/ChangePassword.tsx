import { useState } from 'react';
import { PASSWORD_RULE } from '../auth/Card';
import { Field } from '../ui/Field';
import { FormDialog } from '../ui/FormDialog';

interface Props {
  /** What it throws is shown. */
  onChange: (current: string, next: string) => Promise<void>;
  onClose: () => void;
}

export function ChangePassword({ onChange, onClose }: Props) {
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  return (
    <FormDialog
      title="Change the password"
      text="All other sessions end, and all API keys."
      confirm="Change it"
      onConfirm={() => onChange(current, next)}
      onClose={onClose}
    >
      <Field
        label="Password so far"
        type="password"
        name="current-password"
        autoComplete="current-password"
        autoFocus
        value={current}
        onChange={setCurrent}
      />
      <Field
        label="New password"
        hint={PASSWORD_RULE}
        type="password"
        name="new-password"
        autoComplete="new-password"
        value={next}
        onChange={setNext}
      />
    </FormDialog>
  );
}
