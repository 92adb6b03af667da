import { Logo } from '../ui/icons';

const IDEAS = ['Explain how a hash map works', 'Draft a friendly reminder email', 'Plan a quiet weekend in the mountains'];

export function EmptyChat({ onPick }: { onPick: (idea: string) => void }) {
  return (
    <div className="empty">
      <Logo className="empty-logo" />
      <h1>What is on your mind?</h1>
      <ul>
        {IDEAS.map((idea) => (
          <li key={idea}>
            <button type="button" className="idea" onClick={() => onPick(idea)}>
              {idea}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
