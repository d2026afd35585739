/** What nodes tell reaches whoever has come to listen, with the node that it is of. */
import { expect, test } from 'vitest';
import type { Ears } from '../../../src/nodes/line.ts';
import type { LockNode } from '../../../src/nodes/node.ts';
import { Wakeups } from '../../../src/quorum/wakeups.ts';
import { QuickNode } from './stub-nodes.ts';

test('each kind of news goes to its listener', () => {
  const ears: Ears[] = [];
  const listening = (id: string): LockNode =>
    Object.assign(new QuickNode(id, () => ({ kind: 'told' })), { hear: (one: Ears) => void ears.push(one) });
  const wakeups = new Wakeups(
    [listening('n1'), new QuickNode('deaf', () => ({ kind: 'told' })), listening('n3')],
    'r',
  );
  expect(ears.map(({ replica }) => replica)).toEqual(['r', 'r']);
  const wake = { resource: 'a', id: 'w', fence: 0n };
  const who = { leaseRef: 'ref', owner: 'w1', reason: '', remainingMs: 0 };
  const news = { type: 'held', timeMicros: 1, resource: 'a', token: 1n, ...who } as const;
  const tellAll = () => {
    for (const one of ears) {
      one.wake(wake);
      one.news(news);
      one.forced('ref');
      one.missed();
    }
  };
  // Before anybody listens nothing is told, and nothing breaks.
  tellAll();
  const heard: unknown[][] = [];
  wakeups.onWake = (...told) => void heard.push(['wake', ...told]);
  wakeups.onNews = (...told) => void heard.push(['news', ...told]);
  wakeups.onForced = (...told) => void heard.push(['forced', ...told]);
  wakeups.onMissed = (...told) => void heard.push(['missed', ...told]);
  tellAll();
  const of = (node: number) => [
    ['wake', node, wake],
    ['news', node, news],
    ['forced', 'ref'],
    ['missed', node],
  ];
  expect(heard).toEqual([...of(0), ...of(2)]);
});
