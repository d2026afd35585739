/** The dashboard shows what there is: a real Prometheus reads a real replica and answers every query of every panel. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../harness/grpcurl.ts';
import type { TestReplica } from '../harness/replica.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

interface Target {
  readonly expr: string;
  readonly datasource: { readonly uid: string };
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly Target[];
}

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly definition?: string }[];
  };
  readonly panels: readonly Panel[];
}

const dashboard = JSON.parse(readFileSync(join(ROOT, 'deploy/grafana/holdfast.json'), 'utf8')) as Dashboard;
const shown = dashboard.panels.filter(({ type }) => type !== 'row');
const queries = shown.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }): readonly [string, string] => [title, expr]),
);

/** What a viewer's choice and the width of the window make of it. */
const asked = (expr: string): string =>
  expr.replaceAll('$__rate_interval', '10s').replaceAll(/\$(instance|class)/g, '.*');

/** Of Prometheus itself. */
const FOREIGN = new Set(['ALERTS']);
/** What a scrape adds, and what the parts of a histogram have. */
const ADDED = ['instance', 'job', 'le'];
/** Panels that are empty while all is well, or while the thing they show is not set up. */
const EMPTY_WHEN_WELL = /failed, by code|Refusals|not ready|^Alerts firing|Certificate|Last run|Deliveries/;

const runs = spawnSync('prometheus', ['--version']).error === undefined;

let scene: Scene;
let replica: TestReplica;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hf-dashboard-'));
  scene = await Scene.open(3);
  const alerts = join(folder, 'alerts.yaml');
  // Never sent to: nothing here is worth an alert.
  writeFileSync(alerts, 'channels: [{ name: nobody, kind: slack, url: "http://127.0.0.1:9/" }]\n');
  replica = await scene.replica({
    HOLDFAST_CLASSES: 'gpu/=gpu',
    HOLDFAST_ALERTS: alerts,
    HOLDFAST_ARCHIVE: `sqlite:${join(folder, 'history.db')}`,
  });
});
afterAll(async () => {
  await scene.close();
  rmSync(folder, { recursive: true });
});

test('has the form that Grafana reads', () => {
  expect(dashboard.uid).toBe('holdfast');
  expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(39);
  expect(dashboard.templating.list.map(({ name }) => name)).toEqual(['datasource', 'instance', 'class']);
  const ids = dashboard.panels.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(shown.length).toBeGreaterThan(40);
  for (const { title, targets = [] } of shown) {
    expect(title).not.toBe('');
    expect(targets.length, title).toBeGreaterThan(0);
    for (const { datasource } of targets) expect(datasource.uid, title).toMatch(/^\$\{datasource\}$/);
  }
});

test('its panels stand beside each other, not on each other', () => {
  const taken = new Map<string, string>();
  for (const { title, gridPos } of dashboard.panels) {
    expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
        expect(taken.get(`${x},${y}`), title).toBeUndefined();
        taken.set(`${x},${y}`, title);
      }
    }
  }
});

/** Label names by metric; a histogram's under its three names. */
async function exported(): Promise<Map<string, Set<string>>> {
  const { text } = await replica.http('/metrics');
  const found = new Map<string, Set<string>>();
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
  for (const [, name = '', type] of types) {
    const parts = type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => name + end) : [name];
    for (const part of parts) found.set(part, new Set());
  }
  for (const [, name = '', labels = ''] of text.matchAll(/^([a-z][a-z0-9_]*){(.*)} \S+$/gm)) {
    for (const [, label = ''] of labels.matchAll(/([a-z_]+)="/g)) found.get(name)?.add(label);
  }
  return found;
}

/** What an expression names that is not exported; `labels`: a metric that has no series yet has none either. */
function unknown(expr: string, metrics: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const bare = expr.replaceAll(/"[^"]*"/g, '""');
  const names = [...bare.matchAll(/([a-zA-Z_:][\w:]*){/g)].map(([, name = '']) => name);
  const own = names.filter((name) => !FOREIGN.has(name));
  const faults = own.filter((name) => !metrics.has(name));
  const labels = own.flatMap((name) => [...(metrics.get(name) ?? [])]);
  if (own.length !== names.length || labels.length === 0) return faults;
  const used = [
    ...[...bare.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(', ')),
    ...[...bare.matchAll(/([a-z_]+)(?:=|!=|=~|!~)""/g)].map(([, label = '']) => label),
  ];
  return [...faults, ...used.filter((label) => !labels.includes(label) && !ADDED.includes(label))];
}

test('every metric and label of every query is there from the start', async () => {
  const metrics = await exported();
  const faults = queries.flatMap(([title, expr]) =>
    unknown(expr, metrics).map((what) => `${title}: ${what}`),
  );
  expect(faults).toEqual([]);
  for (const { definition = '' } of dashboard.templating.list) {
    const [, name = ''] = /^label_values\((\w+), \w+\)$/.exec(definition) ?? [];
    if (definition !== '') expect([...metrics.keys()]).toContain(name);
  }
});

test('the rule can fail', () => {
  const metrics = new Map([['a_total', new Set(['node'])]]);
  expect(unknown('sum by (node) (rate(a_total{instance=~".*", node="x{"}[1m]))', metrics)).toEqual([]);
  expect(unknown('rate(b_total{node="x"}[1m])', metrics)).toEqual(['b_total']);
  expect(unknown('sum by (nodes) (a_total{state!="x"})', metrics)).toEqual(['nodes', 'state']);
});

describe.skipIf(!runs)(
  `a real Prometheus${runs ? '' : ' [SKIPPED: no prometheus here; run make tools]'}`,
  () => {
    let server: ChildProcess;
    let base: string;

    beforeAll(async () => {
      const port = await freePort();
      base = `http://127.0.0.1:${port}`;
      const target = replica.replica.httpAddress;
      writeFileSync(
        join(folder, 'prometheus.yml'),
        `scrape_configs: [{job_name: holdfast, scrape_interval: 250ms, scrape_timeout: 250ms, static_configs: [{targets: ["${target}"]}]}]`,
      );
      server = spawn(
        'prometheus',
        [
          `--config.file=${join(folder, 'prometheus.yml')}`,
          `--storage.tsdb.path=${join(folder, 'data')}`,
          `--web.listen-address=127.0.0.1:${port}`,
          '--log.level=error',
        ],
        { stdio: 'inherit' },
      );
      process.once('exit', () => server.kill('SIGKILL'));
      await until('Prometheus answers', () =>
        fetch(`${base}/-/ready`).then(
          ({ ok }) => ok,
          () => false,
        ),
      );
    });
    afterAll(async () => {
      server.kill('SIGKILL');
      if (server.exitCode === null) await once(server, 'exit');
    });

    async function answered(expr: string): Promise<readonly object[]> {
      const answer = await fetch(`${base}/api/v1/query?query=${encodeURIComponent(asked(expr))}`);
      const { status, error, data } = (await answer.json()) as {
        status: string;
        error?: string;
        data?: { result: readonly object[] };
      };
      if (status !== 'success') throw new Error(`${error}: ${expr}`);
      return data?.result ?? [];
    }

    test('understands every query, and has an answer for all that has happened', async () => {
      const { client } = replica;
      const lease = await client.lock('gpu/0');
      const waiting = client.lock('gpu/0', { owner: 'w2', wait: { seconds: 30 } });
      await scene.queued('gpu/0', 1);
      await client.heartbeat(lease.lease_id);
      await client.release(lease.lease_id);
      await client.release((await waiting).lease_id);
      let empty: string[] = [];
      const look = async (): Promise<boolean> => {
        const results = await Promise.all(
          queries.map(async ([title, expr]) => ({ title, expr, result: await answered(expr) })),
        );
        empty = results
          .filter(({ title, result }) => result.length === 0 && !EMPTY_WHEN_WELL.test(title))
          .map(({ title, expr }) => `${title}: ${expr}`);
        return empty.length === 0;
      };
      await until('every panel has something to show', look, 20_000, 250).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${empty.join('\n')}`);
      });
      await expect(answered('sum by (rate(')).rejects.toThrow('parse error');
    });
  },
);

function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once('error', failed);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}
