import { useState } from 'react';
import { Field } from '../ui/Field';
import { FormDialog } from '../ui/FormDialog';

interface Props {
  name: string;
  /** What it throws is shown. */
  onRename: (title: string) => Promise<void>;
  onClose: () => void;
}

export function RenameDialog({ name, onRename, onClose }: Props) {
  const [title, setTitle] = useState(name);
  return (
    <FormDialog title="Rename this conversation" confirm="Rename" onConfirm={() => onRename(title)} onClose={onClose}>
      <Field label="Title" name="title" dir="auto" autoComplete="off" autoFocus maxLength={60} value={title} onChange={setTitle} />
    </FormDialog>
  );
}
