/** A gate behaves as a listening socket does; the ends of many connections are one message; lines stay whole. */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { wholeLines } from '../../../src/workers/child.ts';
import { Gate, Tally } from '../../../src/workers/gate.ts';

class Pipe extends Duplex {
  override _read(): void {}
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

function open() {
  const taken: Socket[] = [];
  const news = { ended: 0, closing: 0 };
  const gate = new Gate((socket) => taken.push(socket), {
    ended: () => {
      news.ended += 1;
    },
    closing: () => {
      news.closing += 1;
    },
  });
  const give = (): Socket => {
    const socket = new Pipe() as unknown as Socket;
    gate.take(socket);
    return socket;
  };
  return { gate, taken, news, give };
}

test('closing is told once, and is done when the last connection has ended', async () => {
  const { gate, taken, news, give } = open();
  const [a, b] = [give(), give()];
  expect(taken).toEqual([a, b]);
  a.destroy();
  await turn();
  expect(news).toEqual({ ended: 1, closing: 0 });
  let done = false;
  gate.close(() => {
    done = true;
  });
  expect(news.closing).toBe(1);
  expect(done).toBe(false);
  b.destroy();
  await turn();
  expect(done).toBe(true);
  expect(news).toEqual({ ended: 2, closing: 1 });
});

test('without a connection closing is done at once', () => {
  const { gate } = open();
  let done = false;
  gate.close(() => {
    done = true;
  });
  expect(done).toBe(true);
});

test('a connection that was on its way while the gate closed is cut off, and counted', async () => {
  const { gate, taken, news, give } = open();
  gate.close();
  const late = give();
  expect(late.destroyed).toBe(true);
  expect(taken).toEqual([]);
  await turn();
  expect(news.ended).toBe(1);
});

test('ends of one turn are one message', async () => {
  const said: number[] = [];
  const tally = new Tally((count) => said.push(count));
  for (let at = 0; at < 1000; at += 1) tally.add();
  await turn();
  tally.add();
  await turn();
  expect(said).toEqual([1000, 1]);
});

test('lines are said whole, however they arrive', () => {
  const said: string[] = [];
  const hear = wholeLines((lines) => said.push(lines));
  for (const text of ['{"a"', ':1}', '\n{"b":2}\n{"c"', ':3}\n', 'half of it']) hear(text);
  expect(said).toEqual(['{"a":1}\n{"b":2}\n', '{"c":3}\n']);
});
