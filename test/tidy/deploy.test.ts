/** The image, the compose file and what surrounds them hang together, and each rule can fail. */
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type ComposeService, compose, imageEnv, isPinned, secondsOf, settingFaults } from './deploy.ts';
import { files, read } from './files.ts';

const { services, networks, volumes } = compose();
const entries = Object.entries(services);
const ours = entries.filter(([, { image }]) => image === 'holdfast:local');
const nodes = entries.filter(([, { image }]) => image.startsWith('redis:'));

function hardening({ read_only, cap_drop, security_opt, ports = [] }: Partial<ComposeService>): string[] {
  const faults: string[] = [];
  if (read_only !== true) faults.push('may write its root');
  if (cap_drop?.join() !== 'ALL') faults.push('keeps capabilities');
  if (security_opt?.includes('no-new-privileges:true') !== true) faults.push('may gain privileges');
  for (const port of ports)
    if (!port.startsWith('127.0.0.1:')) faults.push(`is open to the network: ${port}`);
  return faults;
}

describe('Dockerfile', () => {
  const dockerfile = read('Dockerfile');

  test('runs the Node that the tests run on', () => {
    const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: { node: string } };
    expect(dockerfile).toContain(`ARG NODE_IMAGE=node:${devDependencies.node}-bookworm-slim\n`);
  });

  test('copies what is there, is sent to the engine, and is all that src imports', () => {
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, list = '']) =>
      list.split(' '),
    );
    const sent = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    expect([...new Set(copied)].sort()).toEqual(sent.toSorted());
    const there = (path: string): boolean =>
      path.startsWith('.') || files.some((file) => file === path || file.startsWith(`${path}/`));
    expect(copied.filter((path) => path !== 'package-lock.json' && !there(path))).toEqual([]);
    const outside = files
      .filter((path) => /^(src|clients\/typescript\/src)\/.*\.ts$/.test(path))
      .flatMap((path) =>
        [...read(path).matchAll(/(?:from|new URL\() ?'((?:\.\.\/)+[^']+)'/g)].map(([, to = '']) =>
          new URL(to, `file:///${path}`).pathname.slice(1),
        ),
      )
      .filter((path) => !copied.some((root) => path === root || `${path}/`.startsWith(`${root}/`)));
    expect(outside).toEqual([]);
  });

  test('runs as nobody in particular, starts the service and asks it by its own command', () => {
    expect(dockerfile).toMatch(/^USER 1000:1000$/m);
    expect(dockerfile).toMatch(/^HEALTHCHECK .*\\\n {2}CMD \["\/opt\/holdfast\/bin\/holdfast", "health"/m);
    expect(dockerfile.split(/^FROM /m).at(-1), 'the last stage runs nothing').not.toMatch(/^RUN /m);
    // Neither known callers nor a word that nobody has to be known: it does not start.
    const env = { ...imageEnv(), HOLDFAST_REDIS_NODES: 'redis://a#a' };
    expect(Object.keys(env)).toContain('HOLDFAST_LISTEN');
    expect(settingFaults(env)).toEqual([expect.any(String), expect.any(String)]);
    expect(settingFaults({ ...env, HOLDFAST_ALLOW_INSECURE: '1' })).toEqual([]);
  });
});

describe('docker-compose.yml', () => {
  test('is five lock nodes, one bootstrap, two replicas, and what watches them', () => {
    expect(nodes.map(([name]) => name)).toEqual([1, 2, 3, 4, 5].map((each) => `node-${each}`));
    expect(ours.map(([name]) => name)).toEqual(['bootstrap', 'replica-1', 'replica-2']);
    const rest = entries.filter((one) => !nodes.includes(one) && !ours.includes(one)).map(([name]) => name);
    expect(rest).toEqual(['collector', 'jaeger', 'prometheus', 'grafana']);
  });

  test('every service is hardened, pinned and on this machine alone', () => {
    for (const [name, service] of entries) {
      expect(hardening(service), name).toEqual([]);
      if (service.build === undefined) expect(isPinned(service.image), service.image).toBe(true);
    }
  });

  test('the rules can fail', () => {
    expect(hardening({ ports: ['7420:7420'] })).toHaveLength(4);
    expect(['redis:7', 'redis', 'redis:latest', 'a/b:v3'].filter(isPinned)).toEqual([]);
    expect(isPinned('a/b:v3.5.0')).toBe(true);
  });

  test('what a service refers to is there', () => {
    for (const [name, { depends_on = [], networks: joined, volumes: mounted = [] }] of entries) {
      const before = Array.isArray(depends_on) ? depends_on : Object.keys(depends_on);
      expect(
        before.filter((each) => services[each] === undefined),
        name,
      ).toEqual([]);
      expect(
        joined.filter((each) => networks[each] === undefined),
        name,
      ).toEqual([]);
      for (const [source = ''] of mounted.map((each) => each.split(':'))) {
        const path = source.slice('./'.length);
        if (source.startsWith('./')) {
          expect(
            files.some((file) => `${file}/`.startsWith(`${path}/`)),
            `${name}: ${source}`,
          ).toBe(true);
        } else expect(Object.keys(volumes), name).toContain(source);
      }
    }
  });

  test('the service starts with what it is told, and may drain for as long as it does', () => {
    for (const [name, { environment = {}, stop_grace_period }] of ours) {
      expect(settingFaults({ ...imageEnv(), ...environment }), name).toEqual([]);
      if (name === 'bootstrap') continue;
      const drain = environment.HOLDFAST_DRAIN_TIMEOUT ?? '20s';
      expect(secondsOf(stop_grace_period ?? '10s'), name).toBeGreaterThan(secondsOf(drain));
    }
    expect(settingFaults({ HOLDFAST_NO_SUCH: '1' })).toHaveLength(1);
  });

  test('lock nodes run with the file for lock nodes, and only the service reaches them', () => {
    expect(networks.nodes?.internal).toBe(true);
    const there = entries.filter(([, { networks: joined }]) => joined.includes('nodes'));
    expect(there).toEqual([...nodes, ...ours]);
    for (const [name, { command = [], volumes: mounted = [] }] of nodes) {
      expect(command.slice(0, 2), name).toEqual(['redis-server', '/etc/redis/lock-node.conf']);
      expect(mounted, name).toEqual([
        './deploy/redis/lock-node.conf:/etc/redis/lock-node.conf:ro',
        `${name}:/data`,
      ]);
    }
  });
});

describe('what the observers are told', () => {
  interface Collector {
    readonly receivers: object;
    readonly processors: object;
    readonly exporters: Readonly<Record<string, { readonly endpoint: string }>>;
    readonly service: { readonly pipelines: Readonly<Record<string, Readonly<Record<string, string[]>>>> };
  }

  test('the collector uses exactly what it defines, and sends to a service that is there', () => {
    const { service, ...defined } = parse(read('deploy/otel/collector.yaml')) as Collector;
    for (const kind of ['receivers', 'processors', 'exporters'] as const) {
      const used = Object.values(service.pipelines).flatMap((pipeline) => pipeline[kind] ?? []);
      expect(used.toSorted(), kind).toEqual(Object.keys(defined[kind]).sort());
    }
    for (const { endpoint } of Object.values(defined.exporters)) {
      expect(Object.keys(services)).toContain(endpoint.split(':')[0]);
    }
  });

  test('Prometheus scrapes both replicas and reads the rules', () => {
    interface Scraping {
      readonly rule_files?: readonly string[];
      readonly scrape_configs: readonly {
        readonly static_configs?: readonly { readonly targets: readonly string[] }[];
      }[];
    }
    const { rule_files = [], scrape_configs } = parse(read('deploy/prometheus/prometheus.yml')) as Scraping;
    const targets = scrape_configs.flatMap(({ static_configs = [] }) =>
      static_configs.flatMap((each) => each.targets),
    );
    expect(targets).toEqual(expect.arrayContaining(['replica-1:7421', 'replica-2:7421']));
    expect(rule_files.map((path) => path.split('/').at(-1))).toContain('alerts.yaml');
    expect(files).toContain('deploy/prometheus/alerts.yaml');
  });

  test('Grafana finds its sources at services that are there', () => {
    const { datasources } = parse(read('deploy/grafana/provisioning/datasources/datasources.yaml')) as {
      datasources: readonly { url: string; uid: string }[];
    };
    for (const { url } of datasources) expect(Object.keys(services)).toContain(new URL(url).hostname);
    expect(datasources.map(({ uid }) => uid)).toEqual(['prometheus', 'jaeger']);
  });
});
