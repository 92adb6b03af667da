import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import { takeMailLink } from './auth/mailLink';
import './styles/base.css';
import './styles/signin.css';
import './styles/sidebar.css';
import './styles/chat.css';
import './styles/answer.css';

const root = document.getElementById('root');
if (root) {
  const mailLink = takeMailLink();
  createRoot(root).render(
    <StrictMode>
      <App mailLink={mailLink} />
    </StrictMode>,
  );
}
