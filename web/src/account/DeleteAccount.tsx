import { useState } from 'react';
import { Field } from '../ui/Field';
import { FormDialog } from '../ui/FormDialog';

interface Props {
  /** What it throws is shown. */
  onDelete: (password: string) => Promise<void>;
  onClose: () => void;
}

export function DeleteAccount({ onDelete, onClose }: Props) {
  const [password, setPassword] = useState('');
  return (
    <FormDialog
      title="Delete your account?"
      text="It goes at once and for good, with all of its conversations."
      confirm="Delete the account"
      danger
      onConfirm={() => onDelete(password)}
      onClose={onClose}
    >
      <Field
        label="Password"
        type="password"
        name="password"
        autoComplete="current-password"
        autoFocus
        value={password}
        onChange={setPassword}
      />
    </FormDialog>
  );
}
