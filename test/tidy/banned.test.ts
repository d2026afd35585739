/** Time, chance, environment and output have one door each; no test is switched off or sleeps. */
import { expect, test } from 'vitest';
import { bans, broken } from './banned.ts';
import { benches, files, read, sources, tests } from './files.ts';

const all = [...sources, ...tests, ...benches];

test('nothing is called outside its door', () => {
  expect(all.flatMap((path) => broken(path, read(path)))).toEqual([]);
});

test('every exception names a file that exists, still needs it, and has a reason', () => {
  const idle = bans.flatMap((ban) =>
    Object.entries(ban.exceptions ?? {}).filter(([path, reason]) => {
      const { exceptions: _, ...bare } = ban;
      return reason.length < 20 || !files.includes(path) || broken(path, read(path), [bare]).length === 0;
    }),
  );
  expect(idle).toEqual([]);
});

test.each([
  ['src/locks/a.ts', 'const now = Date.now();', /take a Clock/],
  ['src/locks/a.ts', 'const now = performance.now();', /take a Clock/],
  ['src/locks/a.ts', 'const now = new Date();', /take a Clock/],
  ['src/locks/a.ts', 'setTimeout(act, 5);', /clock\.after/],
  ['src/control/a.ts', 'const t = setInterval(act, 5);', /clock\.after/],
  ['src/locks/a.ts', "import { setTimeout as sleep } from 'node:timers/promises';", /clock\.after/],
  ['src/locks/a.ts', 'const r = Math.random();', /Random/],
  ['src/locks/a.ts', 'const r = randomUUID();', /Random/],
  ['src/locks/a.ts', 'const r = crypto.randomBytes(4);', /Random/],
  ['src/edge/a.ts', 'const e = process.env.HOME;', /src\/config\/table\.ts/],
  ['src/edge/a.ts', 'console.error(e);', /probe/],
  ['src/edge/a.ts', 'const a = b as any;', /name the type/],
  ['bench/a.ts', 'function f(a: any) {}', /name the type/],
  ['test/unit/a.test.ts', 'let a: Map<string, number>; let b: any[];', /name the type/],
  ['src/edge/a.ts', '// @ts-ignore\nfoo();', /mend the type/],
  ['test/unit/a.test.ts', 'it.only(name, act);', /run every test/],
  ['test/unit/a.test.ts', 'describe.skip(name, act);', /run every test/],
  ['test/unit/a.test.ts', 'test.todo(name);', /run every test/],
  ['test/unit/a.test.ts', 'test.each.only(rows)(name, act);', /run every test/],
  ['test/fault/a.test.ts', 'await new Promise((resolve) => setTimeout(resolve, 50));', /poll helper/],
  ['test/fault/a.test.ts', "import { setTimeout as sleep } from 'node:timers/promises';", /poll helper/],
  ['test/fault/a.test.ts', 'await pause(systemClock, 50);', /poll helper/],
  ['test/unit/a.test.ts', 'const start = performance.now();', /ManualClock/],
])('the rule can fail: %s with %s', (path, source, why) => {
  expect(broken(path, source)).toEqual([expect.stringMatching(why)]);
});

test.each([
  ['src/std/clock.ts', 'const now = Date.now(); setTimeout(act, 5);'],
  ['src/std/random.ts', 'const r = Math.random(); randomFillSync(b);'],
  ['src/config.ts', 'const e = process.env;'],
  ['src/config/sources.ts', 'const e = process.env;'],
  ['src/locks/a.ts', "// Date.now() is banned\nconst text = 'console.log';"],
  ['src/locks/a.ts', 'const day = new Date(ms).toISOString();'],
  [
    'src/locks/locks.ts',
    'interface A {\n  readonly any: number;\n}\nconst { any, priority } = ask;\nf(any);',
  ],
  ['test/harness/poll.ts', 'await new Promise((resolve) => setTimeout(resolve, 50));'],
])('what is allowed is allowed: %s with %s', (path, source) => {
  expect(broken(path, source)).toEqual([]);
});
