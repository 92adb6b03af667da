import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { brotliBeside, licences, selfContainedRedoc } from './build/plugins.ts';

const page = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const server = process.env.PARLOR_URL ?? 'http://127.0.0.1:8000';
const serverPaths = ['/api', '/chat', '/conversations', '/openapi.json'];

export default defineConfig({
  plugins: [react(), selfContainedRedoc(), licences(), brotliBeside()],
  build: {
    // The server answers `/static/{path}` from here and nothing else but the three pages.
    assetsDir: 'static',
    // A `data:` URL would need its own place in the Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The two API documentation viewers are one bundle each.
    chunkSizeWarningLimit: 2000,
    rollupOptions: {
      input: [page('index.html'), page('docs.html'), page('redoc.html')],
    },
  },
  // The API documentation viewers are patched by the build alone.
  optimizeDeps: { entries: ['index.html'] },
  server: {
    proxy: Object.fromEntries(serverPaths.map((path) => [path, { target: server }])),
  },
  test: {
    include: ['src/**/*.test.{ts,tsx}'],
    environment: 'node',
    testTimeout: 30_000,
  },
});
