import * as Redoc from 'redoc/bundles/redoc.standalone.js';
import './docs.css';

const root = document.getElementById('root');
if (root) {
  Redoc.init(
    '/openapi.json',
    {
      hideDownloadButtons: false,
      nativeScrollbars: true,
      theme: {
        colors: { primary: { main: '#2f6f66' } },
        typography: {
          fontFamily: 'system-ui, sans-serif',
          headings: { fontFamily: 'system-ui, sans-serif' },
        },
      },
    },
    root,
  );
}
