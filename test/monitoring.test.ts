/**
 * Goal: the alert rules of deploy/prometheus fire when they should, and rules and the dashboard of deploy/grafana ask only
 * for what a server publishes.
 * Method: promtool runs the unit tests of the rules, and checks the syntax of every query of the dashboard. The names of
 * metrics are compared with /metrics of servers of each strategy.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { metricsOf, startAdmin } from './support/admin.ts';
import { Child } from './support/child.ts';
import { temporaryFolder } from './support/folder.ts';
import { hasCommand } from './support/process.ts';
import { STRATEGIES, startServer } from './support/server.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const RULES = readFileSync(join(ROOT, 'deploy/prometheus/rules.yml'), 'utf8');

interface Panel {
  id: number;
  gridPos: { x: number; y: number; w: number; h: number };
  targets: { expr: string }[];
}
interface Dashboard {
  panels: Panel[];
  templating: { list: { name: string; query: string }[] };
}
const DASHBOARD = JSON.parse(readFileSync(join(ROOT, 'deploy/grafana/dashboard.json'), 'utf8')) as Dashboard;
const QUERIES = DASHBOARD.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));

/** Metrics of a server that a text names; recorded ones have a colon beside the name. */
function metricsIn(text: string): string[] {
  return [...new Set(text.match(/(?<![:\w])kecho_pool_\w+(?![:\w])/g))];
}

/** Names of recorded series. */
function recordedIn(text: string): string[] {
  return [...new Set(text.match(/\b(?:instance|job):kecho_pool_\w+:\w+/g))];
}

async function promtool(...args: string[]): Promise<void> {
  const child = new Child('promtool', args, { cwd: ROOT });
  expect(await child.untilEnded(), child.stdout + child.stderr).toEqual({ code: 0, signal: null });
}

/** Names of all samples that servers publish, under any strategy. */
async function published(): Promise<Set<string>> {
  const names = new Set<string>();
  for (const strategy of STRATEGIES) {
    const { server } = await startServer({ strategy });
    const { url } = await startAdmin(server);
    for (const { samples } of (await metricsOf(url)).values())
      for (const sample of samples.keys()) names.add(sample.replace(/\{.*/, ''));
  }
  return names;
}

describe.skipIf(!hasCommand('promtool'))('promtool (skipped without promtool)', () => {
  it('accepts the configuration and the rules', () =>
    promtool('check', 'config', 'deploy/prometheus/prometheus.yml'));

  it('finds each alert firing when it should, and not otherwise', () =>
    promtool('test', 'rules', 'test/prometheus/rules.test.yml'));

  it('accepts each query of the dashboard', async () => {
    const rules = QUERIES.map((expr, i) => ({
      record: `query_${i}`,
      expr: expr.replaceAll('$instance', '.*'),
    }));
    const file = join(temporaryFolder(), 'queries.yml');
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] })); // JSON is YAML
    await promtool('check', 'rules', file);
  });
});

it('rules and dashboard name only what servers publish', async () => {
  const names = await published();
  const asked = [...metricsIn(RULES), ...metricsIn(QUERIES.join('\n'))];
  expect(asked.length).toBeGreaterThan(20);
  expect(asked.filter((name) => !names.has(name))).toEqual([]);
  const variables = metricsIn(DASHBOARD.templating.list.map(({ query }) => query).join('\n'));
  expect(variables.filter((name) => !names.has(name))).toEqual([]);
});

it('the dashboard asks only for series that the rules record', () => {
  const recorded = [...RULES.matchAll(/^ +- record: (\S+)$/gm)].map(([, name]) => name);
  const asked = [...recordedIn(RULES), ...recordedIn(QUERIES.join('\n'))];
  expect(asked.length).toBeGreaterThan(5);
  expect(asked.filter((name) => !recorded.includes(name))).toEqual([]);
});

it('each alert has a unit test', () => {
  const tests = readFileSync(join(ROOT, 'test/prometheus/rules.test.yml'), 'utf8');
  const alerts = [...RULES.matchAll(/^ +- alert: (\S+)$/gm)].map(([, name]) => name ?? '');
  expect(alerts.length).toBeGreaterThan(0);
  expect(alerts.filter((name) => !tests.includes(`- alertname: ${name}\n`))).toEqual([]);
});

it('panels of the dashboard have ids of their own, and do not overlap', () => {
  const cells = new Set<string>();
  let area = 0;
  for (const { gridPos } of DASHBOARD.panels) {
    const { x, y, w, h } = gridPos;
    expect(x + w).toBeLessThanOrEqual(24);
    area += w * h;
    for (let column = x; column < x + w; column++)
      for (let row = y; row < y + h; row++) cells.add(`${column},${row}`);
  }
  expect(cells.size).toBe(area);
  expect(new Set(DASHBOARD.panels.map(({ id }) => id)).size).toBe(DASHBOARD.panels.length);
});
