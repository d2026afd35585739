/** What is deployed, read as data: containers of the compose file and of the Kubernetes manifests, with the rules for both. */
import { parse, parseAllDocuments } from 'yaml';
import { loadSettings } from '../../src/config.ts';
import { read } from './files.ts';

export type Env = Readonly<Record<string, string>>;

export interface ComposeService {
  readonly image: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly environment?: Env;
  readonly networks: readonly string[];
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly stop_grace_period?: string;
  readonly depends_on?: readonly string[] | Readonly<Record<string, object>>;
}

export interface Compose {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
  readonly volumes: Readonly<Record<string, object>>;
}

export const compose = (): Compose => parse(read('docker-compose.yml'), { merge: true }) as Compose;

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly command?: readonly string[];
  readonly restartPolicy?: string;
  readonly env?: readonly { readonly name: string; readonly value: string }[];
  readonly securityContext?: {
    readonly allowPrivilegeEscalation?: boolean;
    readonly readOnlyRootFilesystem?: boolean;
    readonly capabilities?: { readonly drop?: readonly string[] };
  };
  readonly resources?: { readonly requests?: object; readonly limits?: { readonly memory?: string } };
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly lifecycle?: { readonly preStop?: { readonly sleep?: { readonly seconds: number } } };
}

export const envOf = ({ env = [] }: Container): Env =>
  Object.fromEntries(env.map(({ name, value }) => [name, value]));

interface Probe {
  readonly exec?: { readonly command: readonly string[] };
  readonly httpGet?: { readonly path: string };
}

export interface PodSpec {
  readonly automountServiceAccountToken?: boolean;
  readonly enableServiceLinks?: boolean;
  readonly terminationGracePeriodSeconds?: number;
  readonly securityContext?: {
    readonly runAsNonRoot?: boolean;
    readonly runAsUser?: number;
    readonly seccompProfile?: { readonly type: string };
  };
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly { readonly name: string; readonly emptyDir?: { readonly sizeLimit?: string } }[];
  readonly affinity?: {
    readonly podAntiAffinity?: {
      readonly requiredDuringSchedulingIgnoredDuringExecution?: readonly object[];
    };
  };
}

export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Env;
  readonly spec: {
    readonly replicas?: number;
    readonly template?: {
      readonly metadata: { readonly labels: Env };
      readonly spec: PodSpec;
    };
    readonly selector?: { readonly matchLabels?: Env };
    readonly podSelector?: { readonly matchLabels?: Env };
    readonly ingress?: readonly { readonly from: readonly object[]; readonly ports: readonly object[] }[];
    readonly egress?: readonly { readonly to?: readonly object[]; readonly ports: readonly object[] }[];
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
    readonly updateStrategy?: { readonly type: string };
    readonly maxUnavailable?: number;
  };
}

export const manifests = (path: string): readonly Manifest[] => manifestsIn(path, read(path));

export function manifestsIn(path: string, text: string): readonly Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors.length > 0) throw new Error(`${path}: ${document.errors[0]?.message}`);
    const value = document.toJS() as Manifest | null;
    return value === null ? [] : [value];
  });
}

export interface Pod {
  readonly name: string;
  readonly kind: string;
  readonly labels: Env;
  readonly spec: PodSpec;
}

export function podsOf(all: readonly Manifest[]): readonly Pod[] {
  return all.flatMap(({ kind, metadata: { name }, spec }) =>
    spec?.template === undefined
      ? []
      : [{ name, kind, labels: spec.template.metadata.labels, spec: spec.template.spec }],
  );
}

/** What the restricted profile of Kubernetes' Pod Security Standards asks, and two things more. */
export function podFaults({ spec }: Pick<Pod, 'spec'>): string[] {
  const faults: string[] = [];
  const { runAsNonRoot, runAsUser, seccompProfile } = spec.securityContext ?? {};
  if (runAsNonRoot !== true || (runAsUser ?? 0) === 0) faults.push('may run as root');
  if (seccompProfile?.type !== 'RuntimeDefault') faults.push('has no seccomp profile');
  if (spec.automountServiceAccountToken !== false) faults.push('carries a token of the cluster');
  const volumes = new Set(spec.volumes.map(({ name }) => name));
  for (const one of [...(spec.initContainers ?? []), ...spec.containers]) {
    const { securityContext: security, resources, volumeMounts = [] } = one;
    if (security?.allowPrivilegeEscalation !== false) faults.push(`${one.name} may gain privileges`);
    if (security?.readOnlyRootFilesystem !== true) faults.push(`${one.name} may write its root`);
    if (security?.capabilities?.drop?.join() !== 'ALL') faults.push(`${one.name} keeps capabilities`);
    if (resources?.requests === undefined || resources.limits?.memory === undefined) {
      faults.push(`${one.name} is not bounded`);
    }
    if (!isPinned(one.image)) faults.push(`${one.name}: ${one.image} is not pinned`);
    for (const { name } of volumeMounts) {
      // The claims of a StatefulSet are not in its pod.
      if (!volumes.has(name) && name !== 'data')
        faults.push(`${one.name} mounts ${name}, which is no volume`);
    }
  }
  return faults;
}

/** A tag that names a version, or a digest. */
export function isPinned(image: string): boolean {
  return /@sha256:[0-9a-f]{64}$/.test(image) || /:v?\d+\.\d+\.\d+[A-Za-z0-9.-]*$/.test(image);
}

/** What the service says of an environment at start; the files that it names are not there and not read. */
export function settingFaults(env: Env): readonly string[] {
  const texts = Object.entries(env).map(([name, value]): [string, string] => {
    if (name === 'HOLDFAST_ARCHIVE_FILE') return ['HOLDFAST_ARCHIVE', 'postgres://u:p@db/history'];
    return name.endsWith('_FILE') ? [name.slice(0, -'_FILE'.length), 'from a file'] : [name, value];
  });
  const loaded = loadSettings({ argv: [], env: Object.fromEntries(texts) });
  return loaded.ok ? [] : loaded.problems;
}

/** What the image says by ENV; a container's own environment goes before it. */
export function imageEnv(): Env {
  const [, body = ''] = /^ENV ([\s\S]*?[^\\])\n/m.exec(read('Dockerfile')) ?? [];
  const pairs = [...body.matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value]);
  return Object.fromEntries(pairs) as Env;
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };

/** Of `25s`. */
export function secondsOf(text: string): number {
  const [, count = '', unit = 's'] = /^(\d+)([smh])$/.exec(text) ?? [];
  if (count === '') throw new Error(`${text} is no duration`);
  return Number(count) * (UNITS[unit] ?? 1);
}
