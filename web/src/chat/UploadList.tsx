import { Icon } from '../ui/icons';
import type { Uploads } from './useUploads';

/** The files that are to go with the next message, above what is written. */
export function UploadList({ uploads }: { uploads: Uploads }) {
  if (uploads.items.length === 0) return null;
  return (
    <ul className="uploads" aria-label="Attached files">
      {uploads.items.map(({ key, name, preview, error, attached }) => (
        <li key={key} className={error ? 'upload refused' : 'upload'}>
          {preview ? <img src={preview} alt="" /> : <Icon name="file" />}
          <span className="upload-words">
            <span className="upload-name" dir="auto">
              {name}
            </span>
            {error && <span role="alert">{error}</span>}
            {!error && !attached && <progress aria-label={`Uploading ${name}`} />}
          </span>
          <button type="button" className="icon-button" aria-label={`Remove ${name}`} onClick={() => uploads.remove(key)}>
            <Icon name="close" />
          </button>
        </li>
      ))}
    </ul>
  );
}
