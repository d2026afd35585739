/** The seeded bugs: each still changes the rule that it names, and the changed module still loads. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { bugs } from '../../bugs/bugs.ts';
import { patched } from '../../bugs/patch.ts';

const ROOT = new URL('../../../', import.meta.url);

test.for(bugs)('$name changes the rules that it names', ({ patches }) => {
  for (const { file } of patches) {
    const source = readFileSync(new URL(file, ROOT), 'utf8');
    expect(patched(patches, file, source)).not.toBe(source);
  }
});

test('a rule that is not there, or there twice, is no seed', () => {
  const patch = { file: 'a.ts', rule: 'x', instead: 'y' };
  expect(patched([patch], 'a.ts', '1 x 2')).toBe('1 y 2');
  expect(patched([patch], 'b.ts', 'x x')).toBe('x x');
  expect(() => patched([patch], 'a.ts', 'x x')).toThrow('2 times');
  expect(() => patched([patch], 'a.ts', 'z')).toThrow('0 times');
});

const LOAD = `
  const { scripts } = await import('./src/nodes/scripts.ts');
  for (const file of process.argv.slice(1)) if (file.endsWith('.ts')) await import('./' + file);
  process.stdout.write(scripts.votes.sha + scripts.admin.sha);`;

function loaded(bug: string, files: readonly string[]): string {
  const args = ['--import', './test/bugs/seed.ts', '--input-type=module', '--eval', LOAD, '--', ...files];
  return execFileSync(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, SEEDED_BUG: bug },
  }).toString();
}

test('every changed module loads, and the scripts change where a bug is in them', () => {
  const sound = loaded('', []);
  for (const { name, patches } of bugs) {
    const changed = loaded(
      name,
      patches.map(({ file }) => file),
    );
    const inScripts = patches.some(({ file }) => file.endsWith('.lua'));
    expect([name, changed !== sound]).toEqual([name, inScripts]);
  }
});
