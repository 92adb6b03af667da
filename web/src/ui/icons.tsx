import logo from './icon.svg';

export function Logo({ className = 'logo' }: { className?: string }) {
  return <img className={className} src={logo} alt="" width="32" height="32" />;
}

const PATHS = {
  plus: 'M12 5v14M5 12h14',
  menu: 'M4 7h16M4 12h16M4 17h16',
  close: 'M6 6l12 12M18 6L6 18',
  send: 'M12 19V5M6 11l6-6 6 6',
  toEnd: 'M12 5v14M6 13l6 6 6-6',
  down: 'M17 13V4.5h3V13zM17 13l-4 7a2 2 0 0 1-2-2.4l.6-3.6H6a2 2 0 0 1-2-2.4l1-5.4a2 2 0 0 1 2-1.7h10',
  left: 'M14.5 6l-6 6 6 6',
  right: 'M9.5 6l6 6-6 6',
  edit: 'M5 19l.8-3.8L15.6 5.4a1.6 1.6 0 0 1 2.3 0l.7.7a1.6 1.6 0 0 1 0 2.3L8.8 18.2 5 19z',
  copy: 'M9 9h10v10H9zM15 9V5H5v10h4',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  again: 'M19 5v5h-5M18.6 10a7 7 0 1 0 .2 4',
  up: 'M7 11v8.5H4V11zM7 11l4-7a2 2 0 0 1 2 2.4L12.4 10H18a2 2 0 0 1 2 2.4l-1 5.4a2 2 0 0 1-2 1.7H7',
  more: 'M5.5 12h.01M12 12h.01M18.5 12h.01',
  clip: 'M18.5 11.5l-6.6 6.6a4 4 0 0 1-5.7-5.7l7.4-7.4a2.7 2.7 0 0 1 3.8 3.8l-7.3 7.3a1.3 1.3 0 0 1-1.9-1.9l6.3-6.3',
  file: 'M7 3.5h7l4 4v13H7zM14 3.5v4h4',
  pin: 'M9 4h6l-.7 6.5 3 2.5v2H6.7v-2l3-2.5L9 4zM12 15v5',
} as const;

/** A line icon; decorative, so the button around it carries the name. */
export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function StopIcon() {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <rect x="7" y="7" width="10" height="10" rx="2" className="filled" />
    </svg>
  );
}
