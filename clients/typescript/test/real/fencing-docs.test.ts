/** docs/fencing.md: its code is that of tested files, and does what the page says, over the real things. */

import { once as listening } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisServer } from '../../../../test/harness/redis-server.ts';
import { ReplicaProcess } from '../../../../test/harness/replica.ts';
import { publishedFile, TOKEN_METADATA, tokenKeyOf } from '../../src/fencing/index.ts';
import { Holdfast } from '../../src/index.ts';
import { file, object, onceOnly, redis, row, version } from './fencing-snippets.ts';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
const SNIPPETS = {
  ts: 'clients/typescript/test/real/fencing-snippets.ts',
  python: 'clients/python/tests/fencing_snippets.py',
} as const;

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** By name, without their common indentation. */
function snippets(language: keyof typeof SNIPPETS): Map<string, string> {
  const found = read(SNIPPETS[language]).matchAll(
    /^ *(?:\/\/|#) snippet: (\w+)\n([\s\S]*?)^ *(?:\/\/|#) end$/gm,
  );
  return new Map([...found].map(([, name, text]) => [name!, undented(text!)]));
}

function undented(text: string): string {
  const depths = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => line.search(/\S/));
  return text.replaceAll(new RegExp(`^ {${Math.min(...depths)}}`, 'gm'), '').trim();
}

describe('the page', () => {
  const page = read('docs/fencing.md');

  it.each(['ts', 'python'] as const)('shows every tested snippet and no other: %s', (language) => {
    const shown = [...page.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\n\`\`\``, 'g'))];
    const blocks = shown.map(([, block]) => block!).filter((block) => !/^(import|from) /.test(block));
    expect(blocks.toSorted()).toEqual([...snippets(language).values()].sort());
  });

  it('shows the same in both languages', () => {
    expect([...snippets('python').keys()].sort()).toEqual([...snippets('ts').keys()].sort());
  });
});

describe('what the page shows', () => {
  let service: ReplicaProcess;
  let hf: Holdfast;
  let folder: string;

  beforeAll(async () => {
    service = await ReplicaProcess.start('');
    hf = new Holdfast({ address: service.address });
    folder = mkdtempSync(join(tmpdir(), 'holdfast-docs-'));
  });

  afterAll(async () => {
    await hf?.close();
    await service?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const granted = async (name: string): Promise<bigint> => (await hf.checkToken(name, 1n)).lastToken;

  it('publishes a file under its token', async () => {
    const path = join(folder, 'report.csv');
    writeFileSync(join(folder, 'draft'), 'a,b');
    await file(hf, path, join(folder, 'draft'));
    expect(readFileSync(path, 'utf8')).toBe('a,b');
    expect(await publishedFile(path)).toEqual({ path, token: await granted('report') });
  });

  it('fetches a file once', async () => {
    let fetched = 0;
    const site = createServer((_, answer) => {
      fetched += 1;
      answer.end('weights');
    }).listen(0, '127.0.0.1');
    await listening(site, 'listening');
    const url = `http://127.0.0.1:${(site.address() as AddressInfo).port}/`;
    const path = join(folder, 'model.bin');
    const results = await Promise.all([onceOnly(hf, path, url), onceOnly(hf, path, url)]);
    site.close();
    expect([fetched, readFileSync(path, 'utf8')]).toEqual([1, 'weights']);
    expect(results.map(({ made }) => made).sort()).toEqual([false, true]);
  });

  it('writes rows with token and version', async () => {
    const asked: unknown[][] = [];
    const client = {
      query: async (_: string, values: unknown[]) => {
        asked.push(values);
        return { rows: [{ written: 1 }] };
      },
    };
    await row(hf, client, 7);
    const first = await granted('job/7');
    await version(hf, client, 7, 3);
    expect(asked).toEqual([
      [String(first), 'done', 7],
      [String(await granted('job/7')), 'done', 7, '3'],
    ]);
  });

  it('sets a key beside its token', async () => {
    const server = await new RedisServer().start();
    const client = new Redis(server.socketPath);
    try {
      await redis(hf, client);
      expect(await client.get('leader:state')).toBe('ready');
      expect(await client.get(tokenKeyOf('leader:state'))).toBe(String(await granted('leader')));
    } finally {
      client.disconnect();
      await server.stop();
    }
  });

  it('puts an object that names its token', async () => {
    const puts: { Body: string; Metadata: Record<string, string>; IfNoneMatch?: string }[] = [];
    const store = {
      headObject: async () => {
        throw Object.assign(new Error('none'), { $metadata: { httpStatusCode: 404 } });
      },
      putObject: async (ask: (typeof puts)[number]) => {
        puts.push(ask);
        return { ETag: '"1"' };
      },
    };
    await object(hf, store, 'bucket');
    const token = String(await granted('manifest'));
    expect(puts).toMatchObject([{ IfNoneMatch: '*', Metadata: { [TOKEN_METADATA]: token } }]);
    expect(JSON.parse(puts[0]!.Body)).toMatchObject({ token });
  });
});
