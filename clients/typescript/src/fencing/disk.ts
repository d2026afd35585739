/** Carries the steps of a fence out on the disk. */
import { constants } from 'node:fs';
import { appendFile, link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Places } from './names.ts';
import type { Answer, Placed, Step, Steps } from './steps.ts';

/** Runs them to their end. Throws what the operating system throws. */
export async function carryOut<Result>(places: Places, steps: Steps<Result>): Promise<Result> {
  let turn = steps.next();
  while (!turn.done) turn = steps.next(await act(places, turn.value));
  return turn.value;
}

function act({ path, parent, folder }: Places, step: Step): Promise<Answer> {
  const inside = (name: bigint | string): string => join(folder, String(name));
  switch (step.do) {
    case 'fence':
      return makeFence(folder, inside(step.token), parent);
    case 'list':
      return unlessGone(readdir(folder), []);
    case 'create':
      return open(inside(step.name), 'wx').then((file) => file.close()) as Promise<undefined>;
    case 'remove':
      return rm(inside(step.name), { force: true, recursive: true }) as Promise<undefined>;
    case 'settle':
      return unlessGone(settle(inside(step.name)), undefined);
    case 'identify':
      return unlessGone(markOf(step.name === undefined ? path : inside(step.name)), undefined);
    case 'record':
      return unlessGone(record(inside(step.token), step.mark), false);
    case 'marks':
      return unlessGone(
        readFile(inside(step.token), 'utf8').then((text) => text.split('\n')),
        [],
      );
    case 'move':
      return unlessGone(
        rename(inside(step.from), inside(step.to)).then(() => true),
        false,
      );
    default:
      return place(inside(step.name), path, step.do).then(async (placed) => {
        await sync(parent);
        return placed;
      });
  }
}

async function makeFence(folder: string, fence: string, parent: string): Promise<undefined> {
  const made = await mkdir(folder).catch((error: unknown) => {
    if (codeOf(error) !== 'EEXIST') throw error;
    return 'there';
  });
  if (made === undefined) await sync(parent);
  await appendFile(fence, '');
  // A fence that a power cut takes back would let an older token pass.
  await sync(folder);
}

/** The inode, size and time of change of a file: links and renames keep them, and no two published files share them. */
async function markOf(file: string): Promise<string> {
  const { ino, size, mtimeNs } = await stat(file, { bigint: true });
  return `${ino} ${size} ${mtimeNs}`;
}

async function settle(file: string): Promise<string> {
  await sync(file);
  return markOf(file);
}

async function record(fence: string, mark: string): Promise<boolean> {
  // Without O_CREAT: a fence that a newer claim has removed must not come back.
  const file = await open(fence, constants.O_WRONLY | constants.O_APPEND);
  try {
    await file.writeFile(`\n${mark}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  return true;
}

async function place(ready: string, path: string, how: 'link' | 'replace'): Promise<Placed> {
  try {
    await (how === 'link' ? link(ready, path) : rename(ready, path));
    return 'done';
  } catch (error) {
    if (isGone(error)) return 'gone';
    if (codeOf(error) !== 'EEXIST') throw error;
    // A network file system may answer so to its own repeat of a link that was made.
    const [mine, there] = await Promise.all(
      [markOf(ready), markOf(path)].map((mark) => unlessGone(mark, '')),
    );
    return mine !== '' && mine === there ? 'done' : 'exists';
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function unlessGone<Value extends Answer>(work: Promise<Value>, otherwise: Value): Promise<Value> {
  try {
    return await work;
  } catch (error) {
    if (isGone(error)) return otherwise;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}

/** `ENOSPC` and the like; undefined if it is no error of the operating system. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
