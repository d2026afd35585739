/** The Kubernetes manifests that the chart renders: who may do what, in which order things end, and what survives. */
import { describe, expect, test } from 'vitest';
import { table } from '../../src/config/table.ts';
import {
  type Container,
  envOf,
  imageEnv,
  manifests,
  type Pod,
  podFaults,
  podsOf,
  settingFaults,
} from './deploy.ts';
import { files, read } from './files.ts';

const FILES = ['deploy/k8s/central.yaml', 'deploy/k8s/sidecar.yaml'] as const;
const all = new Map(FILES.map((path) => [path, manifests(path)]));
const pods = FILES.flatMap((path) => podsOf(all.get(path)!));
/** Containers of ours, each with its pod. */
const ours = pods.flatMap((pod) =>
  [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
    .filter(({ image }) => image.startsWith('holdfast:'))
    .map((container): [Pod, Container] => [pod, container]),
);

function drainSeconds(container: Container): number {
  return Number.parseInt(envOf(container).HOLDFAST_DRAIN_TIMEOUT ?? '', 10);
}

describe('every pod', () => {
  test.each(pods.map((pod): [string, Pod] => [`${pod.kind} ${pod.name}`, pod]))(
    '%s is restricted',
    (_, pod) => {
      expect(podFaults(pod)).toEqual([]);
    },
  );

  test('the rule can fail', () => {
    const bare = { name: 'x', image: 'x', volumeMounts: [{ name: 'none', mountPath: '/' }] };
    expect(podFaults({ spec: { containers: [bare], volumes: [] } })).toHaveLength(9);
  });
});

describe('Holdfast', () => {
  test('starts with what each container tells it, and never with a secret in its environment', () => {
    expect(ours).toHaveLength(4);
    for (const [{ name, spec }, container] of ours) {
      const env = envOf(container);
      expect(settingFaults({ ...imageEnv(), ...env }), name).toEqual([]);
      expect(
        Object.entries(env)
          .filter(([each, value]) => /PASSWORD$|TOKEN$|ARCHIVE$/.test(each) && value !== 'off')
          .map(([each]) => each),
        name,
      ).toEqual([]);
      // Kubernetes would add HOLDFAST_* variables of its own.
      expect(spec.enableServiceLinks, name).toBe(false);
    }
    for (const [, container] of ours.filter(([{ kind }]) => kind === 'Deployment')) {
      expect(envOf(container)).not.toHaveProperty('HOLDFAST_ALLOW_INSECURE');
    }
  });

  test('files that it is told of lie in what is mounted', () => {
    for (const [{ name }, container] of ours) {
      const mounted = (container.volumeMounts ?? []).map(({ mountPath }) => mountPath);
      const paths = Object.values(envOf(container)).filter((value) => /^\/(?!dev\/stdout$)/.test(value));
      expect(paths.length, name).toBeGreaterThan(0);
      expect(
        paths.filter((path) => !mounted.some((root) => path.startsWith(`${root}/`))),
        name,
      ).toEqual([]);
    }
  });

  test('its settings in the chart are settings', () => {
    const known = new Set<string>(Object.values(table).flatMap(({ name }) => [name, `${name}_FILE`]));
    known.add('HOLDFAST_ADDRESS');
    const chart = files.filter((path) => path.startsWith('deploy/helm/'));
    const named = chart.flatMap((path) => read(path).match(/\bHOLDFAST_[A-Z_]*[A-Z]\b/g) ?? []);
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  });
});

describe('central', () => {
  const central = all.get('deploy/k8s/central.yaml')!;
  const [[pod, container] = []] = ours.filter(([{ kind }]) => kind === 'Deployment');

  test('is alive while it runs, ready with a majority, and has time to drain', () => {
    expect(container?.livenessProbe?.httpGet?.path).toBe('/livez');
    expect(container?.readinessProbe?.httpGet?.path).toBe('/readyz');
    const sleep = container?.lifecycle?.preStop?.sleep?.seconds ?? 0;
    expect(sleep).toBeGreaterThan(0);
    expect(pod?.spec.terminationGracePeriodSeconds).toBeGreaterThan(sleep + drainSeconds(container!));
  });

  test('keeps an audit log, and not in what is gone with the pod', () => {
    const path = envOf(container!).HOLDFAST_AUDIT_LOG ?? '';
    const folders = container?.volumeMounts?.filter(({ mountPath }) => path.startsWith(`${mountPath}/`));
    const gone = pod?.spec.volumes.filter(
      ({ name, emptyDir }) => emptyDir !== undefined && folders?.some((each) => each.name === name),
    );
    expect(path).not.toBe('');
    expect(gone).toEqual([]);
  });

  test('replicas and nodes have a budget and a policy that select them', () => {
    for (const kind of ['PodDisruptionBudget', 'NetworkPolicy']) {
      const guards = central.filter((one) => one.kind === kind).map(({ spec }) => spec);
      for (const component of ['replica', 'lock-node']) {
        const meant = pods.filter(({ labels }) => labels['app.kubernetes.io/component'] === component);
        const chosen = guards.map(
          ({ selector, podSelector }) => selector?.matchLabels ?? podSelector?.matchLabels,
        );
        const guarded = chosen.some((labels) =>
          meant.every((one) =>
            Object.entries(labels ?? { '': '' }).every(([key, value]) => one.labels[key] === value),
          ),
        );
        expect(guarded, `${kind} ${component}`).toBe(true);
      }
    }
  });
});

describe('lock nodes', () => {
  const sets = all.get('deploy/k8s/central.yaml')!.filter(({ kind }) => kind === 'StatefulSet');

  test('are five that share nothing: a set, a disk, a machine each, and no restart but by hand', () => {
    expect(new Set(sets.map(({ metadata }) => metadata.name)).size).toBe(5);
    for (const { metadata, spec } of sets) {
      expect(spec.replicas, metadata.name).toBe(1);
      expect(spec.volumeClaimTemplates?.map((claim) => claim.metadata.name)).toEqual(['data']);
      expect(spec.updateStrategy?.type).toBe('OnDelete');
      const apart = spec.template?.spec.affinity?.podAntiAffinity;
      expect(apart?.requiredDuringSchedulingIgnoredDuringExecution).toHaveLength(1);
    }
  });

  test('run with the file for lock nodes, letter by letter', () => {
    const text = read('deploy/redis/lock-node.conf');
    expect(read('deploy/helm/holdfast/files/lock-node.conf')).toBe(text);
    for (const path of FILES) {
      const config = all.get(path)!.find(({ kind }) => kind === 'ConfigMap')?.data?.['lock-node.conf'] ?? '';
      expect(config.trim(), path).toBe(text.trim());
    }
  });

  test('are named to the service as they are', () => {
    const [, container] = ours.find(([{ kind }]) => kind === 'Deployment')!;
    const hosts = envOf(container)
      .HOLDFAST_REDIS_NODES!.split(',')
      .map((url) => new URL(url).hostname);
    expect(hosts).toEqual(sets.map(({ metadata }) => `${metadata.name}.locks.svc`).sort());
  });
});

describe('the sidecar', () => {
  const pod = pods.find(({ name }) => name === 'locks-worker')!;
  const [sidecar] = pod.spec.initContainers ?? [];
  const [worker] = pod.spec.containers;

  test('is a native one on a socket that worker and sidecar share, and nobody else', () => {
    expect(sidecar?.restartPolicy).toBe('Always');
    const address = envOf(sidecar!).HOLDFAST_LISTEN;
    expect(address).toBe('unix:/run/holdfast/holdfast.sock');
    expect(envOf(worker!).HOLDFAST_ADDRESS).toBe(address);
    for (const one of [sidecar, worker]) {
      const mounts = one?.volumeMounts?.map(({ name, mountPath }) => `${name} ${mountPath}`);
      expect(mounts).toContain('holdfast-socket /run/holdfast');
    }
    expect(pod.spec.volumes.map(({ name }) => name)).toContain('holdfast-socket');
  });

  test('is asked over its socket whether it answers, and never restarted for a lost majority', () => {
    for (const probe of [sidecar?.startupProbe, sidecar?.livenessProbe]) {
      expect(probe?.exec?.command.slice(0, 5)).toEqual([
        '/opt/holdfast/bin/holdfast',
        'health',
        '--live',
        '--address',
        'unix:/run/holdfast/holdfast.sock',
      ]);
    }
  });

  test('drains within what the pod has', () => {
    expect(pod.spec.terminationGracePeriodSeconds).toBeGreaterThan(drainSeconds(sidecar!));
  });
});
