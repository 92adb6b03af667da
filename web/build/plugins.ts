import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import type { Plugin } from 'vite';

const REDOC_LOGO = 'https://cdn.redoc.ly/redoc/logo-mini.svg';
// The bundle's head asks CommonJS for a module of this name, which exists nowhere and is used nowhere.
const REDOC_MISSING_MODULE = 'require("null")';
const EMPTY_IMAGE = 'data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==';

/** Replaces the one image that ReDoc would load from another host; fails when a new version no longer has it. */
export function selfContainedRedoc(): Plugin {
  return {
    name: 'self-contained-redoc',
    transform(code, id) {
      if (!id.endsWith('/redoc.standalone.js')) return null;
      if (!code.includes(REDOC_LOGO)) this.error('the logo to replace is not in this version of redoc');
      const patched = code.replaceAll(REDOC_LOGO, EMPTY_IMAGE).replaceAll(REDOC_MISSING_MODULE, 'null');
      if (patched.includes('cdn.redoc.ly')) this.error('redoc refers to its CDN in a new way');
      return { code: patched, map: null };
    },
  };
}

/** What the viewers of the API's documentation carry within themselves, or beside their bundles. */
const MORE_NOTICES = [
  'swagger-ui-dist/LICENSE',
  'swagger-ui-dist/NOTICE',
  'swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt',
  'redoc/LICENSE',
  'redoc/bundles/redoc.standalone.js.LICENSE.txt',
];
const PACKAGE = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//;
const LICENCE_FILE = /^(licen[cs]e|copying|notice)(\.(md|txt))?$/i;

/** Ships the notices of what the bundles contain, as their licences ask; fails where a package has none. */
export function licences(): Plugin {
  return {
    name: 'licences',
    apply: 'build',
    async generateBundle(_options, bundle) {
      const chunks = Object.values(bundle).filter((output) => output.type === 'chunk');
      const modules = chunks.flatMap((chunk) => Object.keys(chunk.modules));
      const packages = new Set(modules.map((id) => PACKAGE.exec(id)?.[1]).filter((name) => name !== undefined));
      const files = new Set(MORE_NOTICES);
      for (const name of [...packages].sort()) {
        const found = (await readdir(join('node_modules', name))).filter((file) => LICENCE_FILE.test(file));
        if (found.length === 0) this.error(`${name} is bundled and says nothing of its licence`);
        for (const file of found) files.add(`${name}/${file}`);
      }
      const texts = [...files].map(async (path) => `== ${path}\n\n${await readFile(join('node_modules', path), 'utf8')}`);
      this.emitFile({ type: 'asset', fileName: 'static/licences.txt', source: (await Promise.all(texts)).join('\n\n') });
    },
  };
}

const TEXT_FILE = /\.(js|css|html|svg|json|txt)$/;
const WORTH_COMPRESSING = 1024;

/** Writes `name.br` beside each text file over 1 KiB, so that the server can answer `Content-Encoding: br`. */
export function brotliBeside(): Plugin {
  let outDir = 'dist';
  return {
    name: 'brotli-beside',
    apply: 'build',
    configResolved(config) {
      outDir = config.build.outDir;
    },
    async closeBundle(error) {
      if (error) return;
      const entries = await readdir(outDir, { recursive: true, withFileTypes: true });
      for (const entry of entries) {
        if (!entry.isFile() || !TEXT_FILE.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const body = await readFile(path);
        if (body.length <= WORTH_COMPRESSING) continue;
        const params = {
          [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
          [constants.BROTLI_PARAM_QUALITY]: 11,
          [constants.BROTLI_PARAM_SIZE_HINT]: body.length,
        };
        await writeFile(`${path}.br`, brotliCompressSync(body, { params }));
      }
    },
  };
}
