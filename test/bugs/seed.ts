/** Puts the bug that SEEDED_BUG names into our own modules as they are loaded: `node --import ./test/bugs/seed.ts ...`. */
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { patched, patchesOf } from './patch.ts';

const ROOT = new URL('../../', import.meta.url).href;
const name = process.env.SEEDED_BUG ?? '';
const patches = patchesOf(name);

/** The scripts are read as files by one module: what it reads passes through here. */
const SCRIPTS = 'src/nodes/scripts.ts';
const READ = 'readFileSync(new URL(`./lua/$' + '{part}.lua`, import.meta.url), ';
Object.assign(globalThis, {
  seeded: (part: string, source: string) => patched(patches, `src/nodes/lua/${part}.lua`, source),
});

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.startsWith(ROOT) || loaded.source === undefined || loaded.source === null) return loaded;
    const file = url.slice(ROOT.length);
    const text =
      typeof loaded.source === 'string'
        ? loaded.source
        : Buffer.from(loaded.source as Uint8Array).toString('utf8');
    let source = patched(patches, file, text);
    if (file === SCRIPTS) source = throughSeeded(source);
    return source === text ? loaded : { ...loaded, source };
  },
});

function throughSeeded(source: string): string {
  const places = source.split(READ).length - 1;
  if (places !== 1) throw new Error(`${fileURLToPath(ROOT + SCRIPTS)} reads the scripts in another way now`);
  return source.replace(`${READ}'utf8')`, () => `(globalThis as any).seeded(part, ${READ}'utf8'))`);
}
