import { createContext, useContext, useEffect, useState } from 'react';
import { dataUrlOf, readFile } from '../api/files';
import { Icon } from '../ui/icons';
import type { Attached } from './entries';

/** The token with which files are read; undefined for guests, who have none. */
export const FileToken = createContext<string | undefined>(undefined);

/** What goes with a message. */
export function AttachedList({ attached }: { attached: Attached[] }) {
  return (
    <ul className="attached" aria-label="Attachments">
      {attached.map((one, at) => (
        <li key={at}>
          <One attached={one} />
        </li>
      ))}
    </ul>
  );
}

function One({ attached: { url, name, isPicture, deleted } }: { attached: Attached }) {
  if (deleted) return <span className="attached-file gone">A file that was deleted</span>;
  if (name === undefined) {
    return (
      <a href={url} target="_blank" rel="noopener noreferrer nofollow">
        {url}
      </a>
    );
  }
  return isPicture ? <Picture url={url} name={name} /> : <Download url={url} name={name} />;
}

function Picture({ url, name }: { url: string; name: string }) {
  const token = useContext(FileToken);
  const [shown, setShown] = useState<string>();
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let turnedAway = false;
    if (token === undefined) return;
    readFile(token, url)
      .then(dataUrlOf)
      .then(
        (data) => !turnedAway && setShown(data),
        () => !turnedAway && setFailed(true),
      );
    return () => {
      turnedAway = true;
    };
  }, [token, url]);
  if (failed) return <span className="attached-file gone">{name} can’t be shown</span>;
  return shown ? <img src={shown} alt={name} /> : <span className="attached-wait" role="status" aria-label={`Loading ${name}`} />;
}

function Download({ url, name }: { url: string; name: string }) {
  const token = useContext(FileToken);
  const [failed, setFailed] = useState(false);

  async function save() {
    if (token === undefined) return;
    try {
      const address = URL.createObjectURL(await readFile(token, url));
      const link = Object.assign(document.createElement('a'), { href: address, download: name });
      link.click();
      URL.revokeObjectURL(address);
      setFailed(false);
    } catch {
      setFailed(true);
    }
  }

  return (
    <button type="button" className="attached-file" onClick={() => void save()}>
      <Icon name="file" />
      <span dir="auto">{failed ? `${name} can’t be read` : name}</span>
    </button>
  );
}
