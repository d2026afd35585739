/** The proxy that the other tests break links with does what each of its modes says, and nothing else. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Link } from '../harness/link.ts';
import { until } from '../harness/until.ts';

/** One end of a connection: what it has received, in which pieces, and how it ended. */
class End {
  readonly socket: Socket;
  readonly pieces: string[] = [];
  /** What it heard of the other end. */
  heard: 'nothing' | 'fin' | 'reset' = 'nothing';

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('utf8').on('data', (text) => this.pieces.push(String(text)));
    socket.on('end', () => {
      if (this.heard === 'nothing') this.heard = 'fin';
    });
    socket.on('error', ({ message }) => {
      if (message.includes('ECONNRESET')) this.heard = 'reset';
    });
  }

  get text(): string {
    return this.pieces.join('');
  }

  received(text: string): Promise<unknown> {
    return until(`${text} arrives`, () => this.text === text);
  }

  hears(what: 'fin' | 'reset'): Promise<unknown> {
    return until(`a ${what} arrives`, () => this.heard === what);
  }
}

let server: Server;
let link: Link;
const nodes: End[] = [];
const callers: End[] = [];

beforeEach(async () => {
  server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => nodes.push(new End(socket)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  link = await Link.to((server.address() as AddressInfo).port);
});
afterEach(() => {
  for (const { socket } of [...nodes.splice(0), ...callers.splice(0)]) socket.destroy();
  link.close();
  server.close();
});

/** Both ends of a connection through the link, which carries bytes. */
async function made(): Promise<{ caller: End; node: End }> {
  const caller = new End(connect({ port: link.port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true }));
  callers.push(caller);
  await once(caller.socket, 'connect');
  const node = await until('the node is reached', () => nodes[callers.length - 1]);
  return { caller, node };
}

/** That something has not arrived is known when what went another way has. */
async function another(): Promise<void> {
  const beside = connect((server.address() as AddressInfo).port, '127.0.0.1');
  callers.push(new End(beside));
  const end = await until('the node is reached beside the link', () => nodes[callers.length - 1]);
  beside.write('beside');
  await end.received('beside');
  end.socket.write('back');
  await callers.at(-1)!.received('back');
}

describe('a link', () => {
  test('passes both ways, and ends', async () => {
    const { caller, node } = await made();
    caller.socket.write('ask');
    await node.received('ask');
    node.socket.write('answer');
    await caller.received('answer');
    caller.socket.destroy();
    await node.hears('fin');
  });

  test('delays each chunk, and keeps the order of a connection while another one overtakes it', async () => {
    const [slow, quick] = [await made(), await made()];
    const begunMs = performance.now();
    link.delayMs = () => 80;
    slow.caller.socket.write('1');
    await until('it is on its way', () => link.kept('in') === 1);
    link.delayMs = () => 0;
    slow.caller.socket.write('2');
    quick.caller.socket.write('first');
    await quick.node.received('first');
    expect(slow.node.text).toBe('');
    await slow.node.received('12');
    expect(performance.now() - begunMs).toBeGreaterThan(75);
  });

  test('holds one direction and delivers it later, also of a caller that has left', async () => {
    const [one, two] = [await made(), await made()];
    link.hold('in');
    one.caller.socket.write('late');
    two.caller.socket.write('later');
    one.node.socket.write('other way');
    await one.caller.received('other way');
    await until('both are held', () => link.kept('in') === 9);
    two.caller.socket.destroy();
    await another();
    expect([one.node.text, two.node.text, two.node.heard]).toEqual(['', '', 'nothing']);
    link.flow();
    await Promise.all([one.node.received('late'), two.node.received('later'), two.node.hears('fin')]);
  });

  test('lets a new connection overtake what an old one still carries', async () => {
    const old = await made();
    link.hold('in');
    old.caller.socket.write('held');
    await until('it is held', () => link.kept('in') === 4);
    link.strand();
    await old.caller.hears('fin');
    const fresh = await made();
    fresh.caller.socket.write('new');
    await fresh.node.received('new');
    expect([old.node.text, link.kept('in')]).toEqual(['', 4]);
    link.flow();
    await old.node.received('held');
  });

  test.each(['in', 'out'] as const)(
    'loses %s alone, bytes and ends, until the gap breaks it',
    async (direction) => {
      const { caller, node } = await made();
      const [from, to] = direction === 'in' ? [caller, node] : [node, caller];
      link.swallow(direction);
      from.socket.write('lost');
      to.socket.write('other way');
      await from.received('other way');
      from.socket.destroy();
      await another();
      expect([to.text, to.heard]).toEqual(['', 'nothing']);
      link.flow();
      await to.hears('fin');
    },
  );

  test('as a black hole carries nothing and tells nobody', async () => {
    const { caller, node } = await made();
    link.blackHole();
    caller.socket.write('lost');
    node.socket.write('lost');
    const late = await made();
    late.caller.socket.write('lost');
    await another();
    expect([caller, node, late.node].map(({ text, heard }) => text + heard)).toEqual(
      Array(3).fill('nothing'),
    );
    link.flow();
    await Promise.all([caller.hears('fin'), node.hears('fin')]);
  });

  test.each([[[]], [['in']], [['out']]] as const)('resets %j', async (directions) => {
    const { caller, node } = await made();
    link.reset(...directions);
    const at = (direction: 'in' | 'out'): boolean =>
      directions.length === 0 || (directions as readonly string[]).includes(direction);
    await Promise.all([node.hears(at('in') ? 'reset' : 'fin'), caller.hears(at('out') ? 'reset' : 'fin')]);
  });

  test('ends in order: what was sent before it arrives', async () => {
    const { caller, node } = await made();
    caller.socket.write('last');
    await node.received('last');
    link.fin('out');
    await caller.hears('fin');
    const both = await made();
    link.fin();
    await Promise.all([both.node.hears('fin'), both.caller.hears('fin')]);
  });

  test('drips byte by byte, in order, with what came meanwhile behind it', async () => {
    const { caller, node } = await made();
    link.drip('in');
    const text = 'abcdefghij'.repeat(20);
    caller.socket.write(text);
    await until('it has begun', () => node.text.length > 0);
    caller.socket.write('!');
    await node.received(`${text}!`);
    expect(node.pieces.length).toBeGreaterThan(20);
    link.drip('in');
    caller.socket.write(text);
    await until('it has begun again', () => node.text.length > text.length + 1);
    link.flow();
    await node.received(`${text}!${text}`);
  });

  test('cut breaks what stands and lets nothing in until it is mended', async () => {
    const { caller, node } = await made();
    link.cut();
    await Promise.all([caller.hears('fin'), node.hears('fin')]);
    const refused = new End(connect(link.port, '127.0.0.1'));
    await refused.hears('fin');
    link.mend();
    const { node: again, caller: asks } = await made();
    asks.socket.write('ask');
    await again.received('ask');
    expect(link.made).toBe(2);
  });

  test('to a unix socket knows no reset, and says so', async () => {
    const unix = await Link.to('/nowhere');
    expect(() => unix.reset()).toThrow('knows no reset');
    unix.close();
  });
});
