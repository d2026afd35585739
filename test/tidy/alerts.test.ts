/** Alerts, kinds and runbooks belong together: each alert has a page, each page an alert, and they agree how bad it is. */
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { KINDS, SEVERITIES } from '../../src/control/alerts/alert.ts';
import { loadAlerts } from '../../src/control/alerts/rules-file.ts';
import { type AlertsConfig, defaultAlerts } from '../../src/control/alerts/settings.ts';
import { files, read } from './files.ts';

interface Rule {
  readonly alert: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const { groups } = parse(read('deploy/prometheus/alerts.yaml')) as {
  groups: readonly { rules: readonly Rule[] }[];
};
const rules = groups.flatMap((group) => group.rules);
const pageOf = ({ annotations }: Rule): string => annotations.runbook_url ?? '';
const pages = files.filter((path) => path.startsWith('docs/runbooks/') && path !== 'docs/runbooks/README.md');

test('each rule and each kind has a runbook page, and each page one of them', () => {
  const wanted = new Set([...rules.map(pageOf), ...KINDS.map((kind) => `docs/runbooks/${kind}.md`)]);
  expect([...wanted].sort()).toEqual([...pages].sort());
});

test('a page names its alerts, and says what it means, what to look at, what to do and whom to wake', () => {
  for (const path of pages) {
    const page = read(path);
    for (const heading of ['What it means', 'At risk', 'Look', 'Do', 'Wake somebody']) {
      expect(page, path).toMatch(new RegExp(`^## ${heading}$`, 'm'));
    }
    for (const rule of rules.filter((one) => pageOf(one) === path)) expect(page, path).toContain(rule.alert);
    expect(read('docs/runbooks/README.md'), path).toContain(`(${path.split('/').at(-1)})`);
  }
});

test('the example of docs/alerts.md can be loaded, and shows the defaults', () => {
  const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(read('docs/alerts.md')) ?? [];
  const beside: Readonly<Record<string, string>> = {
    'pager.secret': `whsec_${Buffer.alloc(32).toString('base64')}`,
    'slack-url': 'https://hooks.slack.com/x',
    'ding.url': 'https://oapi.dingtalk.com/x',
  };
  const loaded = loadAlerts('/alerts.yaml', (path) =>
    path === '/alerts.yaml' ? example : (beside[path.split('/').at(-1) ?? ''] ?? 'secret'),
  );
  const { config } = loaded as { config: AlertsConfig };
  expect(loaded).toMatchObject({ warnings: [] });
  expect(config.channels.length).toBe(4);
  const general = ({ channels: _, source: __, runbooks: ___, thresholds, ...rest }: AlertsConfig) => ({
    ...rest,
    thresholds: { ...thresholds, byClass: {} },
  });
  expect(general(config)).toEqual(general(defaultAlerts));
});

test('the rule of a kind is as bad as the kind', () => {
  for (const kind of KINDS) {
    const rule = rules.find((one) => pageOf(one) === `docs/runbooks/${kind}.md`);
    expect(rule?.labels.severity, kind).toBe(SEVERITIES[kind]);
  }
});

test('each rule is tested by promtool: that it fires, and that it does not', () => {
  const { tests } = parse(read('deploy/prometheus/alerts.test.yaml')) as {
    tests: readonly {
      alert_rule_test: readonly { alertname: string; exp_alerts: readonly unknown[] }[];
    }[];
  };
  const cases = tests.flatMap((one) => one.alert_rule_test);
  for (const { alert } of rules) {
    const counts = cases
      .filter(({ alertname }) => alertname === alert)
      .map(({ exp_alerts: all }) => all.length);
    expect(Math.max(...counts), alert).toBeGreaterThan(0);
    expect(Math.min(...counts), alert).toBe(0);
  }
});
