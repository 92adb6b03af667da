import { cleanup, configure } from '@testing-library/react';
import { afterEach, vi } from 'vitest';

// jsdom lays nothing out.
class NoResizes {
  observe() {}
  unobserve() {}
  disconnect() {}
}

/** Gives jsdom what it lacks and the pages use, and takes each test's page away at its end. To be called at the top of a test file. */
export function useTestPage(): void {
  // A busy machine is slow, and no test is about time.
  configure({ asyncUtilTimeout: 15_000 });
  globalThis.ResizeObserver ??= NoResizes;
  globalThis.matchMedia ??= (() => ({ matches: false })) as unknown as typeof matchMedia;
  Element.prototype.scrollTo ??= () => undefined;
  HTMLDialogElement.prototype.showModal ??= function (this: HTMLDialogElement) {
    this.open = true;
  };
  HTMLDialogElement.prototype.close ??= function (this: HTMLDialogElement) {
    this.open = false;
    this.dispatchEvent(new Event('close'));
  };
  afterEach(() => {
    cleanup();
    vi.unstubAllGlobals();
    localStorage.clear();
    sessionStorage.clear();
    location.hash = '';
  });
}
