/** The S3 guard over HTTP against a server that emulates S3 (moto): honest about conditions, not about concurrency. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PYTHON, withoutPython } from '../../../../test/harness/program.ts';
import { until } from '../../../../test/harness/until.ts';
import { fencedPut, type Objects, StaleTokenError, TOKEN_METADATA } from '../../src/fencing/index.ts';

/** moto wants to know who asks and does not check it. */
const AUTHORIZATION =
  'AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none';

/** The two calls as the AWS SDK makes them. */
class Store implements Objects<string> {
  readonly #url: string;
  /** Called before each put. */
  before: () => Promise<unknown> = async () => undefined;

  constructor(url: string) {
    this.#url = url;
  }

  async #ask(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: string,
  ): Promise<Response> {
    const sent = { authorization: AUTHORIZATION, ...headers };
    const answer = await fetch(`${this.#url}/${path}`, {
      method,
      headers: sent,
      ...(body === undefined ? {} : { body }),
    });
    if (answer.ok) return answer;
    const failed = new Error(`${method} ${path}: ${answer.status}`);
    throw Object.assign(failed, { $metadata: { httpStatusCode: answer.status } });
  }

  async makeBucket(name: string): Promise<void> {
    await this.#ask('PUT', name);
  }

  async headObject({ Bucket, Key }: { Bucket: string; Key: string }) {
    const { headers } = await this.#ask('HEAD', `${Bucket}/${Key}`);
    const prefix = 'x-amz-meta-';
    const told = [...headers].filter(([name]) => name.startsWith(prefix));
    const Metadata = Object.fromEntries(told.map(([name, value]) => [name.slice(prefix.length), value]));
    return { ETag: headers.get('etag') ?? undefined, Metadata };
  }

  async putObject(ask: Parameters<Objects<string>['putObject']>[0]) {
    await this.before();
    return this.putAnyway(ask);
  }

  async putAnyway(ask: Parameters<Objects<string>['putObject']>[0]) {
    const headers: Record<string, string> = { 'content-type': 'text/plain' };
    for (const [name, value] of Object.entries(ask.Metadata)) headers[`x-amz-meta-${name}`] = value;
    if (ask.IfMatch !== undefined) headers['if-match'] = ask.IfMatch;
    if (ask.IfNoneMatch !== undefined) headers['if-none-match'] = ask.IfNoneMatch;
    const answer = await this.#ask('PUT', `${ask.Bucket}/${ask.Key}`, headers, ask.Body);
    return { ETag: answer.headers.get('etag') ?? undefined };
  }

  async text(path: string): Promise<string> {
    return (await this.#ask('GET', path)).text();
  }
}

describe(`a fenced object${withoutPython}`, { skip: withoutPython !== '' }, () => {
  let server: ChildProcess;
  let store: Store;
  let bucket = 'bucket-0';

  beforeAll(async () => {
    // It must not outlive a test run that is killed.
    const command = ['--pdeathsig', 'KILL', PYTHON, '-m', 'moto.server', '-H', '127.0.0.1', '-p', '0'];
    server = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [server.stdout!, server.stderr!]) {
      stream.on('data', (chunk) => {
        output += chunk;
      });
    }
    const url = await until(
      'the S3 server serves',
      () => {
        if (server.exitCode !== null) throw new Error(`moto ended with ${server.exitCode}:\n${output}`);
        return /http:\/\/127\.0\.0\.1:[1-9]\d*/.exec(output)?.[0];
      },
      60_000,
    );
    store = new Store(url);
  });

  afterAll(async () => {
    if (server?.exitCode !== null) return;
    server.kill('SIGKILL');
    await once(server, 'exit');
  });

  beforeEach(async () => {
    bucket = `bucket-${Number(bucket.slice(7)) + 1}`;
    store.before = async () => undefined;
    await store.makeBucket(bucket);
  });

  const put = (token: bigint, body: string): Promise<string> =>
    fencedPut(store, { bucket, key: 'model', body, token });
  const text = (): Promise<string> => store.text(`${bucket}/model`);

  it('refuses a stale write, which gets through without the guard', async () => {
    await put(34n, 'new');
    await expect(put(33n, 'late')).rejects.toMatchObject({
      name: 'StaleTokenError',
      token: 33n,
      current: 34n,
    });
    expect(await text()).toBe('new');
    await store.putAnyway({ Bucket: bucket, Key: 'model', Body: 'late', Metadata: {} });
    expect(await text()).toBe('late');
  });

  it('takes equal and newer tokens, and shows the token to readers', async () => {
    for (const [token, body] of [
      [34n, 'one'],
      [34n, 'two'],
      [35n, 'three'],
    ] as const) {
      await put(token, body);
      expect(await text()).toBe(body);
    }
    const { Metadata } = await store.headObject({ Bucket: bucket, Key: 'model' });
    expect(Metadata[TOKEN_METADATA]).toBe('35');
  });

  it.each(['an object that was there', 'no object'])(
    'sees a newer write between its look and its put: %s',
    async (at) => {
      if (at !== 'no object') await put(32n, 'old');
      store.before = async () => {
        store.before = async () => undefined;
        await put(34n, 'new');
      };
      await expect(put(33n, 'late')).rejects.toThrow(StaleTokenError);
      expect(await text()).toBe('new');
    },
  );

  it('cannot tell the same bytes put again from no put at all: bodies must differ', async () => {
    await put(32n, 'same');
    store.before = async () => {
      store.before = async () => undefined;
      await put(34n, 'same');
    };
    await put(33n, 'late');
    expect(await text()).toBe('late');
  });
});
