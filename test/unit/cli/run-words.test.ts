/** `holdfast run` in words: its flags, the variables it sets, the line it shows while it waits. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { planOf } from '../../../src/cli/run/plan.ts';
import { cardsOf, templateOf, variablesOf } from '../../../src/cli/run/variables.ts';
import { type Queue, queueText, WaitingLine } from '../../../src/cli/run/waiting.ts';
import { ManualClock } from '../../../src/std/clock.ts';

afterEach(() => vi.unstubAllEnvs());

describe('the command line', () => {
  test('gives the first -- to run and everything behind it to the command', () => {
    const { resources, command, ...plan } = planOf(['a', 'b', '--any', '1', '--', 'env', '--', '--ttl', '1']);
    expect({ resources, command }).toEqual({ resources: ['a', 'b'], command: ['env', '--', '--ttl', '1'] });
    expect(plan).toMatchObject({ any: 1, mode: 'exclusive', maxWaitMs: undefined, terms: { ttlMs: 30_000 } });
  });

  test.each([
    [['gpu/0'], '-- CMD is missing'],
    [['gpu/0', '--'], '-- CMD is missing'],
    [['--', 'true'], 'RESOURCE is missing'],
    [['a', '--', ''], 'CMD must not be empty'],
    [['a', '--ttl', '900ms', '--', 'true'], '--ttl must be at least 1s'],
    [['a', '--ttl', '10s', '--kill-after', '5s', '--', 'true'], '--kill-after must fit into the ttl'],
    [['a', '--on-loss', 'panic', '--', 'true'], '--on-loss "panic" must be one of terminate, kill, warn'],
    [['a', '--mode', 'joint', '--', 'true'], '--mode "joint"'],
    [['a', '--env', 'X={nothing}', '--', 'true'], '{nothing} is none of {name}, {last}, {token}, {ref}'],
    [['a', '--env', '1X=a', '--', 'true'], 'must be NAME=TEMPLATE'],
    [['a', '--max-wait', 'long', '--', 'true'], '--max-wait "long" must be a duration'],
    [['a', '--label', 'x', '--', 'true'], '--label "x" must be KEY=VALUE'],
  ])('%j is refused', (args, why) => {
    expect(() => planOf(args)).toThrow(why);
  });

  test('takes its replicas from the flags, else from the environment', () => {
    vi.stubEnv('HOLDFAST_ADDRESS', 'a:1,b:2');
    expect(planOf(['x', '--', 'true']).addresses).toEqual(['a:1', 'b:2']);
    expect(planOf(['x', '--address', 'c:3', '--address', 'd:4', '--', 'true']).addresses).toEqual([
      'c:3',
      'd:4',
    ]);
    expect(() => planOf(['x', '--address', 'nowhere', '--', 'true'])).toThrow('--address "nowhere"');
  });
});

describe('the variables', () => {
  const lease = { token: 1_800_000_000_000_007n, leaseRef: 'ref', resources: ['host7/gpu/3', 'host7/gpu/1'] };
  const own = {
    HOLDFAST_TOKEN: '1800000000000007',
    HOLDFAST_RESOURCES: 'host7/gpu/3 host7/gpu/1',
    HOLDFAST_LEASE_REF: 'ref',
  };

  test('show the cards that were granted, in the order of the grant', () => {
    expect(variablesOf(lease, [], true)).toEqual({ ...own, CUDA_VISIBLE_DEVICES: '3,1' });
    expect(variablesOf(lease, [], false)).toEqual(own);
  });

  test.each([
    [['gpu/0'], '0'],
    [['gpu/07'], '7'],
    [['pool/a/gpu/2', 'pool/a/gpu/0'], '2,0'],
    [['a/gpu/0', 'b/gpu/0'], undefined],
    [['a/gpu/0', 'b/gpu/1'], undefined],
    [['gpu/1', 'gpu/01'], undefined],
    [['gpu/0', 'disk/1'], undefined],
    [['gpu'], undefined],
    [['mygpu/1'], undefined],
    [['gpu/x'], undefined],
    [['gpu/1/part'], undefined],
  ])('of %j: %s', (resources, cards) => {
    expect(cardsOf(resources)).toBe(cards);
  });

  test('are filled in by templates, which come first', () => {
    const templates = ['CUDA_VISIBLE_DEVICES=GPU-{last}', 'ALL={name}', 'T={{{token}}}/{ref}', 'E='].map(
      templateOf,
    );
    expect(variablesOf(lease, templates, true)).toEqual({
      ...own,
      CUDA_VISIBLE_DEVICES: 'GPU-3,1',
      ALL: 'host7/gpu/3,host7/gpu/1',
      T: '{1800000000000007}/ref',
      E: '',
    });
  });
});

describe('the line of a wait', () => {
  const clock = new ManualClock();
  const nowMs = clock.wallMicros() / 1000;
  const holder = {
    resource: 'gpu/0',
    owner: 'h/1/1',
    acquireTime: new Date(nowMs - 240_000),
    progress: 'epoch 3',
  };
  const queue: Queue = { position: 2, queueLength: 5, holders: [holder] };
  const LINE = 'waiting for gpu/0: place 2 of 5; gpu/0 is held by h/1/1 since 07:56:00Z (4m ago) (epoch 3)';

  test('names the place, the holder, since when, and what it does', () => {
    expect(queueText(['gpu/0'], queue, nowMs)).toBe(LINE);
    expect(queueText(['a'], { ...queue, holders: [] }, nowMs)).toBe(
      'waiting for a: place 2 of 5; others stand ahead',
    );
    expect(queueText(['gpu/0'], { ...queue, holders: [holder, holder, holder] }, nowMs)).toMatch(
      /, and 2 more$/,
    );
    expect(
      queueText(['gpu/0'], { ...queue, holders: [{ ...holder, owner: '\u001b[2Jx' }] }, nowMs),
    ).toContain('?[2Jx');
  });

  function shown(isTerminal: boolean) {
    const written: string[] = [];
    const here = new ManualClock();
    const screen = { write: (text: string) => void written.push(text), isTerminal, columns: 60 };
    return { written, clock: here, line: new WaitingLine(['gpu/0'], screen, here) };
  }

  test('is a new line at each change where there is no terminal', () => {
    const { written, clock: here, line } = shown(false);
    line.show(queue);
    line.show({ ...queue });
    here.advance(5000);
    expect(written).toEqual([`holdfast run: ${LINE}\n`]);
    line.show({ ...queue, position: 1 });
    line.end();
    expect(written.slice(1)).toEqual([expect.stringMatching(/place 1 of 5;.*\n$/)]);
  });

  test('is one line that is rewritten on a terminal, fits into it, and is gone at the end', () => {
    const { written, clock: here, line } = shown(true);
    line.show(queue);
    here.advance(1000);
    expect(written).toHaveLength(2);
    for (const text of written) expect(text).toMatch(/^\r\u001b\[K[^\n]{59}$/);
    line.end();
    here.advance(5000);
    expect(written.slice(2)).toEqual(['\r\u001b[K']);
  });

  test('is nothing where nobody waited', () => {
    const { written, line } = shown(true);
    line.end();
    expect(written).toEqual([]);
  });
});
