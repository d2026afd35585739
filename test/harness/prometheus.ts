/** A real Prometheus that scrapes replicas and evaluates the shipped alert rules, in times that a test can wait for. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './grpcurl.ts';
import { until } from './until.ts';

/** Empty where it can be run; else what a suite says of itself. */
export const withoutPrometheus =
  spawnSync('prometheus', ['--version']).status === 0 ? '' : ' [SKIPPED: no prometheus here; run make tools]';

export const RULES = join(ROOT, 'deploy/prometheus/alerts.yaml');

/** In which a counter's rise is still seen: long enough for a machine that stalls, short enough to wait for its end. */
const WINDOW = '6s';
const WITHIN_MS = 45_000;

/**
 * The shipped rules with their times alone changed: `for: 1m` becomes `for: 200ms`, and every range, as in `[5m]`, one
 * of a few seconds. What is compared with what, and every label, stays.
 */
export function hastened(rules: string): string {
  const quick = rules.replace(/^(\s+for:) \S+$/gm, '$1 200ms').replace(/\[\d+[smh]\]/g, `[${WINDOW}]`);
  return quick.replace('- name: holdfast', '- name: holdfast\n    interval: 200ms');
}

export interface PrometheusAlert {
  readonly state: 'pending' | 'firing';
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** What the expression came to, at the last evaluation. */
  readonly value: string;
}

/** Prometheus cannot be asked for a port of its own choice. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export class Prometheus {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #folder: string;
  #output = '';

  private constructor(url: string, child: ChildProcess, folder: string) {
    this.url = url;
    this.#child = child;
    this.#folder = folder;
    child.stderr?.setEncoding('utf8').on('data', (text) => {
      this.#output += text;
    });
  }

  /** `targets`: HTTP addresses of replicas. */
  static async start(targets: readonly string[]): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-prometheus-'));
    writeFileSync(join(folder, 'alerts.yaml'), hastened(readFileSync(RULES, 'utf8')));
    const config = {
      // A scrape that a busy machine does not answer in time is one sample less, so it gets all the time there is.
      global: { scrape_interval: '500ms', scrape_timeout: '500ms', evaluation_interval: '200ms' },
      rule_files: ['alerts.yaml'],
      scrape_configs: [{ job_name: 'holdfast', static_configs: [{ targets }] }],
    };
    // JSON is YAML.
    writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config));
    const port = await freePort();
    const child = spawn(
      'prometheus',
      [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=warn',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const kill = (): void => void child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', () => process.removeListener('exit', kill));
    const prometheus = new Prometheus(`http://127.0.0.1:${port}`, child, folder);
    await until('Prometheus scrapes all of them', () => prometheus.#scrapes(targets.length), WITHIN_MS, 50);
    return prometheus;
  }

  async #scrapes(count: number): Promise<boolean> {
    if (this.#child.exitCode !== null) throw new Error(`Prometheus ended: ${this.#output}`);
    try {
      const answer = await fetch(`${this.url}/api/v1/query?query=count(up==1)`);
      const { data } = (await answer.json()) as { data: { result: readonly { value: [number, string] }[] } };
      return Number(data.result[0]?.value[1]) === count;
    } catch {
      return false;
    }
  }

  async alerts(): Promise<readonly PrometheusAlert[]> {
    const answer = await fetch(`${this.url}/api/v1/alerts`);
    return ((await answer.json()) as { data: { alerts: readonly PrometheusAlert[] } }).data.alerts;
  }

  async #firing(
    name: string,
    labels: Readonly<Record<string, string>>,
  ): Promise<PrometheusAlert | undefined> {
    return (await this.alerts()).find(
      ({ state, labels: of }) =>
        state === 'firing' &&
        of.alertname === name &&
        Object.entries(labels).every(([label, value]) => of[label] === value),
    );
  }

  /** Once the alert fires, with such a value. */
  async fires(
    name: string,
    labels: Readonly<Record<string, string>> = {},
    is: (value: number) => boolean = () => true,
  ): Promise<PrometheusAlert> {
    const look = async (): Promise<PrometheusAlert | undefined> => {
      const alert = await this.#firing(name, labels);
      return alert !== undefined && is(Number(alert.value)) ? alert : undefined;
    };
    return until(`${name} fires`, look, WITHIN_MS, 50).catch(async (error) => {
      throw new Error(`${String(error)}; there are ${JSON.stringify(await this.alerts())}; ${this.#output}`);
    });
  }

  /** Once it does not fire. */
  async rests(name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    const look = async (): Promise<boolean> => (await this.#firing(name, labels)) === undefined;
    await until(`${name} does not fire`, look, WITHIN_MS, 50);
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
