/** The chart under values that its examples do not have: what it renders, and what it refuses to. */
import { describe, expect, test } from 'vitest';
import { rendered, type Values, withoutHelm } from './chart.ts';
import { type Container, envOf, imageEnv, podsOf, settingFaults } from './deploy.ts';

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
