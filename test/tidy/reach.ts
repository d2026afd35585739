/** What can be reached from where: imports followed from the entry points of the program. */
import { resolved } from './files.ts';
import { importsOf } from './scan.ts';

/** Where the program begins, with what begins there. */
export const entries: Readonly<Record<string, string>> = {
  'src/cli/main.ts': 'the holdfast command',
  'src/cli/worker.ts': 'a worker, one of several processes of a service',
  'src/app.ts': 'the composition root, loaded by commands that need the whole service',
};

/** Every file among `known` that the entries lead to. */
export function reached(
  from: readonly string[],
  known: ReadonlySet<string>,
  read: (path: string) => string,
): Set<string> {
  const found = new Set<string>();
  const open = [...from];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (found.has(path) || !known.has(path)) continue;
    found.add(path);
    open.push(...importsOf(read(path)).map((imported) => resolved(path!, imported.from)));
  }
  return found;
}
