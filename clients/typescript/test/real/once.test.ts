/** `once` over a real service: who makes the file, who gets it, and what becomes of failures. */
import { EventEmitter, once as event } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ReplicaProcess } from '../../../../test/harness/replica.ts';
import { until } from '../../../../test/harness/until.ts';
import { FencedFile, PublishError } from '../../src/fencing/index.ts';
import { BusyError, Holdfast, LeaseLostError } from '../../src/index.ts';
import { type Make, type OnceOptions, once } from '../../src/once/once.ts';

let service: ReplicaProcess;
let hf: Holdfast;
let folder: string;
let path: string;
let key: string;
let round = 0;

beforeAll(async () => {
  service = await ReplicaProcess.start('', { HOLDFAST_MAX_TTL: '30s', HOLDFAST_DEFAULT_TTL: '30s' });
});

afterAll(() => service.stop());

beforeEach(() => {
  hf = new Holdfast({ address: service.address });
  folder = mkdtempSync(join(tmpdir(), 'holdfast-once-'));
  path = join(folder, 'file.bin');
  round += 1;
  key = `once/${round}`;
});

afterEach(async () => {
  await hf.close();
  rmSync(folder, { recursive: true, force: true });
});

const made = (make: Make, options: OnceOptions = {}) => once(hf, key, path, make, options);
const writes =
  (text: string): Make =>
  (file) =>
    writeFileSync(file, text);
const fails: Make = (file) => {
  writeFileSync(file, 'half');
  throw new TypeError('no such model');
};

/** What lies about; of the fence only what is no fence. */
function left(): string[] {
  const inside = existsSync(join(folder, '.file.bin.fence'))
    ? readdirSync(join(folder, '.file.bin.fence'))
    : [];
  return [
    ...readdirSync(folder).filter((name) => !name.endsWith('.fence')),
    ...inside.filter((name) => name.includes('.')),
  ];
}

async function isHeld(): Promise<boolean> {
  return (await hf.inspect(key)).holders.length > 0;
}

/** Ends the lease of whoever makes it, as an operator would. */
async function takeAway(): Promise<void> {
  const [holder] = (await hf.inspect(key)).holders;
  await hf.forceRelease(key, { reason: 'a test', leaseRef: holder!.leaseRef });
}

describe('once', () => {
  it('has one make the file and all get it', async () => {
    const texts = ['one', 'two', 'three', 'four'];
    const results = await Promise.all(texts.map((text) => made(writes(text))));
    const [maker, ...more] = results.filter((result) => result.made);
    expect(more).toEqual([]);
    expect(results.map(({ token }) => token)).toEqual(texts.map(() => maker!.token));
    expect(readFileSync(path, 'utf8')).toBe(texts[results.indexOf(maker!)]);
    expect(left()).toEqual(['file.bin']);
    expect(await isHeld()).toBe(false);
  });

  it('asks for no lock where the file is there', async () => {
    const first = await made(writes('once'));
    const nowhere = new Holdfast({ address: '127.0.0.1:1' });
    const again = await once(nowhere, key, path, writes('twice'));
    expect(again).toEqual({ path, token: first.token, made: false });
    await nowhere.close();
  });

  it("raises the maker's own error, tells why in the history, and lets the next one try", async () => {
    const first = made(fails);
    await expect(first).rejects.toThrow(new TypeError('no such model'));
    expect(left()).toEqual([]);
    const { history } = await hf.inspect(key, { history: 10 });
    expect(history.map(({ reason }) => reason)).toContain('failed: TypeError');
    expect(await made(writes('second'))).toMatchObject({ made: true });
  });

  it('publishes nothing that `verify` refuses', async () => {
    const refuses = made(writes('broken'), { verify: (file) => readFileSync(file, 'utf8') === 'whole' });
    await expect(refuses).rejects.toThrow(PublishError);
    expect(left()).toEqual([]);
    await made(writes('whole'), { verify: (file) => readFileSync(file, 'utf8') === 'whole' });
    expect(left()).toEqual(['file.bin']);
  });

  it('publishes nothing under a lease that was lost', async () => {
    const losing = made(async (file, lease) => {
      writeFileSync(file, 'late');
      await takeAway();
      await until('the loss is known', () => lease.signal.aborted);
    });
    await expect(losing).rejects.toThrow(LeaseLostError);
    expect(left()).toEqual([]);
  });

  it('gets the file of its successor when its own lease was lost', async () => {
    let successor: Promise<{ token: bigint | undefined }> | undefined;
    const late = await made(async (file) => {
      await takeAway();
      successor = made(writes('successor'));
      await successor;
      writeFileSync(file, 'late');
    });
    expect(late).toEqual({ path, token: (await successor!).token, made: false });
    expect(readFileSync(path, 'utf8')).toBe('successor');
    expect(left()).toEqual(['file.bin']);
  });

  it('gets it, too, when what it waited for was ended by `lease.signal`', async () => {
    const late = await made(async (_, { signal }) => {
      await takeAway();
      await made(writes('successor'));
      await event(new EventEmitter(), 'never', { signal });
    });
    expect(late.made).toBe(false);
    expect(readFileSync(path, 'utf8')).toBe('successor');
  });

  it('publishes nothing that a newer claim has overtaken, though its lease seems good', async () => {
    const overtaken = made(async (file, lease) => {
      writeFileSync(file, 'late');
      await FencedFile.claim(path, lease.token + 1n);
    });
    await expect(overtaken).rejects.toMatchObject({ name: 'StaleTokenError' });
    expect(existsSync(path)).toBe(false);
  });

  it('gives up when its wait is over', async () => {
    await using _ = await hf.lock(key);
    await expect(made(writes('never'), { wait: '50ms' })).rejects.toThrow(BusyError);
    expect(readdirSync(folder)).toEqual([]);
  });
});
