/** A replica that is told what deploy/k8s/central.yaml tells it: who sees its audit log, and who is told its state. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOf, makeToken } from '../../src/domain/access-token.ts';
import { systemRandom } from '../../src/std/random.ts';
import { Authority, Folder } from '../harness/certificates.ts';
import { Nodes } from '../harness/nodes.ts';
import { Program } from '../harness/program.ts';
import { bootstrapped, type Environment, ReplicaProcess } from '../harness/replica.ts';
import { until } from '../harness/until.ts';
import { envOf, manifests, podsOf } from '../tidy/deploy.ts';

/** A real pipe, as a container's standard output is one: what this process would give is a socket. */
const PIPED = ['bash', '-c', 'exec "$@" > >(cat)', 'bash'];

const folder = new Folder();
const ca = new Authority();
const token = makeToken(systemRandom);
let nodes: Nodes;
let replica: ReplicaProcess;
let caller: Environment;

/** The container's environment, with files and addresses of this machine. */
function deployed(): Environment {
  const pod = podsOf(manifests('deploy/k8s/central.yaml')).find(({ kind }) => kind === 'Deployment');
  const env = Object.entries(envOf(pod!.spec.containers[0]!))
    .filter(([name]) => name.startsWith('HOLDFAST_') && !name.startsWith('HOLDFAST_REDIS_'))
    .map(([name, value]) => [name, value.replace(/^\/run\/secrets\/holdfast\/\w+/, folder.path)]);
  return {
    ...Object.fromEntries(env),
    HOLDFAST_LISTEN: '127.0.0.1:0',
    HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
  };
}

beforeAll(async () => {
  const { cert, key } = ca.server();
  folder.write('tls.crt', cert);
  folder.write('tls.key', key);
  folder.write('alerts.yaml', 'channels: []\n');
  const tokens = `[{ name: a, sha256: ${digestOf(token)} }]`;
  folder.write(
    'access.yaml',
    `identities: [{ name: oncall, tokens: ${tokens}, allow: [{ verbs: [acquire, admin] }] }]\n`,
  );
  caller = {
    HOLDFAST_CLIENT_CA: folder.write('ca.crt', ca.cert),
    HOLDFAST_AUTH_TOKEN_FILE: folder.write('token', token),
  };
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list);
  replica = await ReplicaProcess.start(nodes.list, deployed(), PIPED);
});
afterAll(async () => {
  await replica?.stop();
  await nodes?.close();
  folder.remove();
});

describe('a replica of the manifests', () => {
  const acts = (action: string): unknown[] =>
    replica.output
      .split('\n')
      .filter((line) => line.startsWith('{"v":1,') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as { action: string })
      .filter((line) => line.action === action);

  test('writes its audit log beside its log, and goes on after a reload', async () => {
    const acquire = ['acquire', 'gpu/0', '--address', replica.address, '--owner', 'a'] as const;
    expect(await new Program(['bin/holdfast', ...acquire], caller).ended()).toBe(0);
    await until('the act is there', () => acts('acquire').length === 1);
    expect(acts('acquire')).toEqual([
      expect.objectContaining({ identity: 'oncall', outcome: 'granted', resources: ['gpu/0'] }),
    ]);
    replica.signal('SIGHUP');
    await until('the reload', () => replica.output.includes('settings were read again'));
    expect(await new Program(['bin/holdfast', ...acquire], {}).ended()).not.toBe(0);
    await until('the refused caller', () => acts('authenticate').length === 1);
  });

  test('tells its state at / to whoever reaches that, and by status to who may ask', async () => {
    const answer = await fetch(`http://${replica.http}/`);
    const { nodes: told } = (await answer.json()) as { nodes: { state: string }[] };
    expect(told.map(({ state }) => state)).toEqual(['ready', 'ready', 'ready']);
    const status = ['bin/holdfast', 'status', '--address', replica.address] as const;
    expect(await new Program(status, {}).ended()).toBe(69);
    expect(await new Program(status, caller).ended()).toBe(0);
  });
});
