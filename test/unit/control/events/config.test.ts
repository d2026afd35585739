/** Where the settings of the event stream are wrong. */
import { expect, test } from 'vitest';
import { loadSettings } from '../../../../src/config.ts';

function problemsOf(env: Record<string, string>): readonly string[] {
  const loaded = loadSettings({ argv: [], env });
  return loaded.ok ? [] : loaded.problems;
}

test.each([
  ['redis://127.0.0.1:7001', true],
  ['redis://:secret@127.0.0.1:7001/3', true],
  ['redis://[::1]', true],
  ['redis://127.0.0.1:7009', false],
  ['rediss://user:secret@events.example:7001/0', false],
] as const)('%s beside its lock nodes: a fault is %s', (stream, faulty) => {
  const nodes = 'redis://127.0.0.1:7001,redis://[::1]:6379,redis://127.0.0.1:7003';
  const problems = problemsOf({ HOLDFAST_REDIS_NODES: nodes, HOLDFAST_EVENT_STREAM: stream });
  expect(problems).toEqual(
    faulty ? [expect.stringMatching(/^HOLDFAST_EVENT_STREAM must not be on the lock node/)] : [],
  );
  expect(problems.join()).not.toContain('secret');
});

test('anything but the URL of a Redis server is refused, without showing what was given', () => {
  for (const stream of [
    'http://secret',
    'redis://',
    'redis://secret%@host',
    'redis://host/secret',
    'unix:///secret',
  ]) {
    const problems = problemsOf({ HOLDFAST_EVENT_STREAM: stream });
    expect(problems, stream).toEqual([expect.stringMatching(/^HOLDFAST_EVENT_STREAM/)]);
    expect(problems.join()).not.toContain('secret');
  }
});

test.each(['15', '1000001', 'many'])('a buffer of %s events is refused', (buffer) => {
  expect(problemsOf({ HOLDFAST_EVENT_BUFFER: buffer })).toEqual([
    expect.stringMatching(/^HOLDFAST_EVENT_BUFFER/),
  ]);
});
