/** Both fakes are held to what the service is held to: the undisturbed scenarios of test/conformance, played on them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { Crew } from '../../../../test/conformance/crew.ts';
import { type Part, play, stopOf } from '../../../../test/conformance/play.ts';
import { scenarios } from '../../../../test/conformance/scenarios/index.ts';
import { Stage } from '../../../../test/conformance/stage.ts';
import { PYTHON, PYTHON_ENV, withoutPython } from '../../../../test/harness/program.ts';
import { RpcClient } from '../../../../test/harness/rpc-client.ts';
import { FakeHoldfast } from '../../src/testing/index.ts';

/** What the fakes do not do, as docs/testing.md says. */
const BEYOND = [
  'a holder is told that somebody of higher priority asks for the lock',
  'a line that is full refuses the next',
];

const SERVE = `
import sys
from holdfast_client.testing import FakeHoldfast
fake = FakeHoldfast(path=sys.argv[1])
with fake.clock.run():
    print("serving", flush=True)
    sys.stdin.read()
fake.stop()
`;

const serving = {
  /** In this process. */
  typescript: async (path: string): Promise<() => Promise<void>> => {
    const fake = await FakeHoldfast.start({ path });
    const running = fake.clock.run();
    return async () => {
      running[Symbol.dispose]();
      await fake.stop();
    };
  },
  /** In a process of its own, which ends with its input. */
  python: async (path: string): Promise<() => Promise<void>> => {
    const env = { ...process.env, ...PYTHON_ENV };
    const child = spawn(PYTHON, ['-c', SERVE, path], { env, stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    await once(child.stdout, 'data');
    return async () => {
      child.stdin.end();
      await ended;
    };
  },
};
type Kind = keyof typeof serving;
const kind = vi.hoisted(() => ({ now: 'typescript' }));

/** Where the stage would start a replica it gets a fake, on the same socket, for which time goes by. */
vi.mock('../../../../test/harness/replica.ts', async (original) => ({
  ...(await original<object>()),
  ReplicaProcess: {
    start: async (_: string, env: Readonly<Record<string, string>>) => {
      const path = env.HOLDFAST_LISTEN?.split('unix:')[1] ?? '';
      const end = await serving[kind.now as Kind](path);
      const client = new RpcClient(`unix:${path}`);
      const stop = async (): Promise<void> => {
        client.close();
        await end();
      };
      return { client, stop };
    },
  },
}));

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000, maxConcurrency: 8 });

const undisturbed = scenarios.filter(({ stage, own, only }) => {
  return stage === 'calm' && own !== true && (only === undefined || only.languages.includes('typescript'));
});
const played = undisturbed.filter(({ name }) => !BEYOND.includes(name));
const part: Part = { language: 'typescript', without: undefined };

test('what is not played is known by its name', () => {
  expect(played.length).toBeGreaterThan(40);
  expect(undisturbed.length - played.length).toBe(BEYOND.length);
});

for (const which of ['typescript', 'python'] as const) {
  const skipped = which === 'python' ? withoutPython : '';
  describe.skipIf(skipped !== '').concurrent(`on the fake in ${which}${skipped}`, () => {
    const crew = new Crew();
    let opened: Promise<Stage> | undefined;
    const stage = (): Promise<Stage> => {
      if (opened === undefined) kind.now = which;
      opened ??= Stage.open('calm');
      return opened;
    };

    afterAll(async () => {
      await crew.close();
      await (await opened)?.close();
    });

    for (const scenario of played) {
      test(scenario.name, async () => {
        const stop = await stopOf(play(scenario, [part], crew, stage()), part);
        expect(stop && { ...stop, at: scenario.steps[stop.step] }).toBeUndefined();
      });
    }
  });
}
