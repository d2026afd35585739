/** The chart rendered by a real Helm, for values that no file of deploy/k8s has. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { parse } from 'yaml';
import { type Manifest, manifestsIn } from './deploy.ts';
import { root } from './files.ts';

export type Values = Readonly<Record<string, unknown>>;

const CHART = join(root, 'deploy/helm/holdfast');
/** As in scripts/install-tools.sh. */
const KUBERNETES = '1.34.0';

function helm(args: readonly string[], input = ''): { status: number | null; out: string; err: string } {
  return inFolder((home) => {
    const path = `${join(root, '.venv/bin')}${delimiter}${process.env.PATH}`;
    // A HOME of its own: away from what this user told Helm.
    const { status, stdout, stderr } = spawnSync('helm', args, {
      encoding: 'utf8',
      input,
      env: { PATH: path, HOME: home },
    });
    return { status, out: stdout ?? '', err: stderr ?? '' };
  });
}

function inFolder<T>(use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-helm-'));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Empty where Helm can run; else what a suite says of itself. */
export const withoutHelm = helm(['version']).status === 0 ? '' : ' [skipped: no helm here; run make tools]';

function template(values: Values, chart = CHART, more: readonly string[] = []): ReturnType<typeof helm> {
  const args = ['--namespace', 'locks', '--kube-version', KUBERNETES, '--values', '-', ...more];
  return helm(['template', 'locks', chart, ...args], JSON.stringify(values));
}

export function rendered(values: Values): readonly Manifest[] {
  const { status, out, err } = template(values);
  if (status !== 0) throw new Error(err);
  return manifestsIn('the chart', out);
}

/** What Helm says of values that the chart refuses. */
export function refusal(values: Values): string {
  const { status, err } = template(values);
  if (status === 0) throw new Error('the chart takes these values');
  return err;
}

/** What Helm tells after an installation. It shows that to nobody who has no cluster, unless it is a manifest. */
export function notes(values: Values): string {
  return inFolder((folder) => {
    cpSync(CHART, folder, { recursive: true });
    renameSync(join(folder, 'templates/NOTES.txt'), join(folder, 'NOTES.txt'));
    const manifest = join(folder, 'templates/notes.yaml');
    writeFileSync(manifest, 'notes: {{ tpl (.Files.Get "NOTES.txt") . | toJson }}\n');
    const { status, out, err } = template(values, folder, ['--show-only', 'templates/notes.yaml']);
    if (status !== 0) throw new Error(err);
    return (parse(out) as { notes: string }).notes;
  });
}
