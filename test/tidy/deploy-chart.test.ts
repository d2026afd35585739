/** The chart under values that its examples do not have: what it renders, and what it refuses to. */
import { describe, expect, test } from 'vitest';
import { notes, refusal, rendered, type Values, withoutHelm } from './chart.ts';
import { type Container, envOf, imageEnv, type Manifest, podsOf, settingFaults } from './deploy.ts';

const central: Values = {
  access: { existingSecret: 'holdfast-access' },
  tls: { existingSecret: 'holdfast-tls' },
  nodes: { existingSecret: 'holdfast-redis' },
};
const sidecar: Values = { ...central, central: { enabled: false }, sidecar: { example: true } };

function sidecarOf(values: Values): Container {
  const pod = podsOf(rendered(values)).find(({ name }) => name === 'locks-worker');
  return pod!.spec.initContainers![0]!;
}

/** Of `1Gi`, in MiB. */
function mebibytes(quantity: string): number {
  const [, count = '', unit = ''] = /^(\d+)([MG]i)$/.exec(quantity) ?? [];
  return Number(count) * (unit === 'Gi' ? 1024 : 1);
}

describe.skipIf(withoutHelm !== '')(`history${withoutHelm}`, () => {
  test('is not kept by a sidecar unless it is asked to', () => {
    const archive = (values: Values): string | undefined => {
      const env = envOf(sidecarOf({ ...sidecar, ...values }));
      expect(settingFaults({ ...imageEnv(), ...env })).toEqual([]);
      return env.HOLDFAST_ARCHIVE ?? env.HOLDFAST_ARCHIVE_FILE;
    };
    expect(archive({})).toBe('off');
    expect(archive({ settings: { HOLDFAST_ARCHIVE: 'auto' } })).toBe('auto');
    expect(archive({ archive: { existingSecret: 'history' } })).toBe('/run/secrets/holdfast/archive/url');
  });

  test('of a replica has twice the room that it may take, or what is said', () => {
    const limit = (values: Values): string | undefined => {
      const pod = podsOf(rendered({ ...central, ...values })).find(({ name }) => name === 'locks');
      return pod!.spec.volumes.find(({ name }) => name === 'state')?.emptyDir?.sizeLimit;
    };
    expect(mebibytes(limit({}) ?? '')).toBeGreaterThanOrEqual(2 * 512);
    expect(limit({ state: { sizeLimit: '4Gi' } })).toBe('4Gi');
  });
});

describe.skipIf(withoutHelm !== '')(`the network${withoutHelm}`, () => {
  const policy = (name: string, values: Values): Manifest['spec'] => {
    const policies = rendered({ ...central, ...values }).filter(({ kind }) => kind === 'NetworkPolicy');
    return policies.find(({ metadata }) => metadata.name === name)!.spec;
  };
  const elsewhere = (external: string): Values => ({
    nodes: { enabled: false, existingSecret: 'holdfast-redis', external },
  });

  test('lets replicas reach lock nodes elsewhere, by the ports that their URLs have', () => {
    const urls = [
      'redis://10.0.0.1:7001#a',
      ' rediss://u:p%2Fq@nodes.example/2#b',
      'redis://[fd00::1]:6380',
      'redis://[fd00::2]',
      'redis://d.example:7001',
    ];
    const { egress } = policy('locks-replicas', elsewhere(urls.join()));
    expect(egress?.at(-1)).toEqual({ ports: [{ port: 7001 }, { port: 6379 }, { port: 6380 }] });
  });

  test('is not rendered for what is no address of a lock node, and the message repeats none of it', () => {
    for (const url of ['unix:///nodes/a.sock', 'redis://', 'sesame@node:6379']) {
      const said = refusal({ ...central, ...elsewhere(`redis://a:1,${url}`) });
      expect(said).toContain('nodes.external: entry 2 is not redis://HOST:PORT');
      expect(said).not.toContain('sesame');
    }
  });

  test('lets in nobody where nobody is named: a rule without peers would let in everybody', () => {
    const policies = { networkPolicy: { clients: [], monitoring: [] } };
    expect(policy('locks-replicas', policies).ingress ?? []).toEqual([]);
    expect(policy('locks-replicas', { networkPolicy: { clients: [] } }).ingress).toHaveLength(1);
  });

  test('lets sidecars of this namespace reach the lock nodes, and of others where that is said', () => {
    const { from } = policy('locks-nodes', {}).ingress![0]!;
    const here = { podSelector: { matchLabels: { 'holdfast-sidecar': 'true' } } };
    expect(from).toHaveLength(2);
    expect(from[1]).toEqual(here);
    const there = { ...here, namespaceSelector: { matchLabels: { team: 'vision' } } };
    const both = policy('locks-nodes', { networkPolicy: { sidecars: [here, there] } });
    expect(both.ingress![0]!.from.slice(1)).toEqual([here, there]);
    const none = policy('locks-nodes', { networkPolicy: { sidecars: [] } });
    expect(none.ingress![0]!.from).toEqual([from[0]]);
  });
});

describe.skipIf(withoutHelm !== '')(`the notes${withoutHelm}`, () => {
  test('tell how to see the state without a token, which no pod has', () => {
    const text = notes(central);
    expect(text).toContain('kubectl -n locks port-forward deploy/locks 7421\n');
    expect(text).toContain('curl http://127.0.0.1:7421/\n');
    expect(text).not.toContain('holdfast status');
  });

  test('tell to ask a sidecar over its socket', () => {
    const [, address] = /exec deploy\/locks-worker -c holdfast .* status --address (\S+)\n/.exec(
      notes(sidecar),
    )!;
    expect(address).toBe(envOf(sidecarOf(sidecar)).HOLDFAST_LISTEN);
  });
});
