/** Every setting: its default, its sources in their order, and what it refuses. */
import { describe, expect, test } from 'vitest';
import { describeSettings, loadSettings, type Settings } from '../../src/config.ts';
import { rows } from './config-rows.ts';

type Input = { argv?: string[]; env?: Record<string, string>; files?: Record<string, string> };

function load({ argv = [], env = {}, files = {} }: Input = {}) {
  return loadSettings({
    argv,
    env,
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
      return text;
    },
  });
}

function settingsOf(input: Input): Settings {
  const loaded = load(input);
  if (!loaded.ok) throw new Error(loaded.problems.join('\n'));
  return loaded.settings;
}

function problemsOf(input: Input): readonly string[] {
  const loaded = load(input);
  return loaded.ok ? [] : loaded.problems;
}

const settings = describeSettings();

test('every setting of the table has a row here', () => {
  expect(Object.keys(rows).sort()).toEqual(settings.map(({ name }) => name).sort());
});

describe.each(settings)('$name', ({ name, flag, fallback }) => {
  const { read, unset, set, bad, beside } = rows[name]!;

  test('has its default', () => {
    expect(read(settingsOf({}))).toEqual(unset);
  });

  test('what `config` prints for its default is the default', () => {
    const loaded = load();
    const shown = loaded.ok ? loaded.effective.find((line) => line.name === name) : undefined;
    expect(shown).toEqual({ name, value: fallback ?? '', source: 'default' });
  });

  // A secret without a row of its own is covered by its _FILE form below.
  if (set.length > 0)
    test('a flag beats the environment, which beats the file', () => {
      const [[first, asFlag], [second, asEnv], [third, asFile]] = set as [
        [string, unknown],
        [string, unknown],
        [string, unknown],
      ];
      const files = { f: `# settings\n\n${name}=${third}\n` };
      const flagText = first.replaceAll('"', '');
      expect(read(settingsOf({ env: { ...beside, HOLDFAST_CONFIG: 'f' }, files }))).toEqual(asFile);
      expect(read(settingsOf({ env: { ...beside, HOLDFAST_CONFIG: 'f', [name]: second }, files }))).toEqual(
        asEnv,
      );
      const env = { ...beside, HOLDFAST_CONFIG: 'f', [name]: second };
      expect(read(settingsOf({ argv: [flag, flagText], env, files }))).toEqual(asFlag);
      expect(read(settingsOf({ argv: [`${flag}=${flagText}`], env, files }))).toEqual(asFlag);
    });

  test.each(bad)('%j is a problem that names it', (text) => {
    const problems = problemsOf({ env: { [name]: text } });
    expect(problems.length).toBeGreaterThan(0);
    for (const problem of problems) expect(problem).toContain(name);
    expect(problemsOf({ argv: [`${flag}=${text}`] })[0]).toMatch(new RegExp(`${flag}|${name}`));
  });
});
