/**
 * Goal: the manifests of deploy/kubernetes are what a cluster accepts, and agree with each other and with the program.
 * Method: each against its published schema; names, ports and times against one another; the arguments of the container
 * by the program itself; the whole through kustomize where kubectl is installed; the script with a program in place of kubectl.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { IPodMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import type { IDeployment } from 'kubernetes-models/apps/v1';
import type { IJob } from 'kubernetes-models/batch/v1';
import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1';
import type { IContainer, IService } from 'kubernetes-models/v1';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { BIN, Child, runBin } from './support/child.ts';
import { temporaryFolder } from './support/folder.ts';
import { bench } from './support/load-bench.ts';
import { echo, serverThat } from './support/load-servers.ts';
import { type Manifest, mistakesIn } from './support/manifests.ts';
import { hasCommand } from './support/process.ts';

const FOLDER = fileURLToPath(new URL('../deploy/kubernetes', import.meta.url));
const FOLDERS = ['.', 'bench'];
const KUSTOMIZATION = 'kustomization.yaml';

/** Parsed, as the type of its kind; that it has this form is tested first. */
function read<T = Manifest>(name: string): T {
  return parse(readFileSync(join(FOLDER, name), 'utf8')) as T;
}

function manifestsIn(folder: string): string[] {
  return readdirSync(join(FOLDER, folder)).filter((name) => name.endsWith('.yaml') && name !== KUSTOMIZATION);
}

const FILES = FOLDERS.flatMap((folder) => manifestsIn(folder).map((name) => join(folder, name)));
const DEPLOYMENT = 'deployment.yaml';
const deployment = read<IDeployment>(DEPLOYMENT);
const job = read<IJob>('bench/job.yaml');
const pod = deployment.spec?.template;
const container = containersOf(deployment)[0];
const NAME = 'app.kubernetes.io/name';

function containersOf({ spec }: IDeployment | IJob): IContainer[] {
  return spec?.template.spec?.containers ?? [];
}

it.each(FILES)('%s is valid', async (file) => {
  expect(await mistakesIn(read(file))).toEqual([]);
});

describe('the validation', () => {
  const broken = async (change: (container: object) => void) => {
    const manifest = read<Manifest & IDeployment>(DEPLOYMENT);
    for (const one of containersOf(manifest)) change(one);
    return mistakesIn(manifest);
  };
  const withProbe = (fields: object) => broken((one) => Object.assign(one, { startupProbe: fields }));

  it('finds a field that does not exist, a wrong type, and a missing field', async () => {
    expect(await withProbe({ periodSecond: 1 })).toEqual([
      'unknown field /spec/template/spec/containers/0/startupProbe/periodSecond',
    ]);
    expect(await withProbe({ periodSeconds: '1s' })).toEqual([
      expect.stringContaining('startupProbe/periodSeconds must be integer'),
    ]);
    expect(await broken((one) => Object.assign(one, { name: undefined }))).toEqual([
      expect.stringContaining('must have required property name'),
    ]);
  });

  it('finds a kind that does not exist', async () => {
    const manifest = { ...read(DEPLOYMENT), apiVersion: 'batch/v1' };
    expect(await mistakesIn(manifest)).toEqual(['no Deployment in batch/v1']);
  });
});

it.each(FOLDERS)('the kustomization lists each manifest: %s', (folder) => {
  const { resources } = read<{ resources: string[] }>(join(folder, KUSTOMIZATION));
  expect([...resources].sort()).toEqual(manifestsIn(folder).sort());
});

it.skipIf(!hasCommand('kubectl')).each(FOLDERS)(
  'kubectl kustomize (skipped without kubectl): %s',
  (folder) => {
    const text = execFileSync('kubectl', ['kustomize', join(FOLDER, folder)], { encoding: 'utf8' });
    expect(text.match(/^kind: /gm)).toHaveLength(manifestsIn(folder).length);
    expect(text).toMatch(/image: registry\.example\/kecho-pool:\d+\.\d+\.\d+$/m);
  },
);

it('all select the pods of the Deployment, and name its ports', () => {
  const service = read<IService>('service.yaml').spec;
  const policy = read<INetworkPolicy>('network-policy.yaml').spec;
  const monitor = read<IPodMonitor>('pod-monitor.yaml').spec;
  const selectors = [
    deployment.spec?.selector.matchLabels,
    service?.selector,
    read<IPodDisruptionBudget>('disruption-budget.yaml').spec?.selector?.matchLabels,
    policy?.podSelector?.matchLabels,
    monitor?.selector?.matchLabels,
    pod?.spec?.topologySpreadConstraints?.[0]?.labelSelector?.matchLabels,
  ];
  for (const labels of selectors) expect(labels).toEqual({ [NAME]: 'kecho-pool' });
  expect(pod?.metadata?.labels).toEqual({ [NAME]: 'kecho-pool' });
  expect(monitor?.jobLabel).toBe(NAME); // so the job is the one in the rules of deploy/prometheus
  expect(service?.ports?.map(({ targetPort }) => targetPort)).toEqual(['echo']);
  expect(policy?.ingress?.map(({ ports }) => ports?.map(({ port }) => port))).toEqual([['echo'], ['admin']]);
  expect(monitor?.podMetricsEndpoints?.map(({ port }) => port)).toEqual(['admin']);
  const probes = [container?.startupProbe, container?.readinessProbe, container?.livenessProbe];
  for (const probe of probes) expect(probe?.httpGet?.port).toBe('admin');
});

it('the program accepts the arguments, which agree with ports, processors and the time that a stop may take', async () => {
  const child = runBin([...(container?.args ?? []), '--print-config']);
  expect(await child.untilEnded(), child.stderr).toEqual({ code: 0, signal: null });
  const config = JSON.parse(child.stdout) as Record<string, number> & { admin: string };
  expect(container?.ports).toEqual([
    { name: 'echo', containerPort: config.port },
    { name: 'admin', containerPort: Number(config.admin.split(':')[1]) },
  ]);
  expect(container?.resources?.requests?.cpu).toBe(String(config.cpus));
  const { drainDelayMs = 0, drainTimeoutMs = 0 } = config;
  // src/cli/serve.ts: a stop takes up to 10 s after delay and drain.
  const stopMs = drainDelayMs + drainTimeoutMs + 10_000;
  expect((pod?.spec?.terminationGracePeriodSeconds ?? 0) * 1000).toBeGreaterThan(stopMs);
  const { periodSeconds = 10, timeoutSeconds = 1, failureThreshold = 3 } = container?.readinessProbe ?? {};
  expect(drainDelayMs).toBeGreaterThan((periodSeconds * failureThreshold + timeoutSeconds) * 1000);
});

it.each([deployment, job])(
  'pods meet the restricted profile of Pod Security Standards: $kind',
  (manifest) => {
    const spec = manifest.spec?.template.spec;
    expect(spec?.securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(spec?.securityContext?.runAsUser).toBeGreaterThan(0);
    expect(containersOf(manifest)).toHaveLength(1);
    for (const { securityContext } of containersOf(manifest))
      expect(securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    for (const name of ['hostNetwork', 'hostPID', 'hostIPC', 'volumes'])
      expect(spec).not.toHaveProperty(name);
  },
);

describe('bench/run.sh', () => {
  /** kubectl of a cluster with two pods, which have logged the files `a` and `b`; it records its arguments. */
  const KUBECTL = [
    '#!/bin/sh',
    'cd "$(dirname "$0")"',
    'echo "$@" >>calls',
    'case "$1" in',
    '  get) echo pod/a; echo pod/b ;;',
    '  logs) echo "round trip 1 ms, to read"; cat "$(basename "$4")" ;;',
    '  wait) [ ! -e failing ] ;;',
    'esac',
  ].join('\n');

  function cluster(logs: Record<string, string>): { folder: string; run: () => Child } {
    const folder = temporaryFolder();
    const program = (name: string, text: string) => writeFileSync(join(folder, name), text, { mode: 0o755 });
    for (const [name, text] of Object.entries(logs)) writeFileSync(join(folder, name), text);
    program('kubectl', KUBECTL);
    program('npx', `#!/bin/sh\nshift 2\nexec ${process.execPath} ${BIN} "$@"\n`);
    const env = { PATH: `${folder}:${process.env.PATH}`, KEEP: folder };
    return { folder, run: () => new Child(join(FOLDER, 'bench/run.sh'), ['testing'], { env }) };
  }

  it('starts the Job, merges what its pods have measured, and removes it', async () => {
    const load = ['--clients', '1', '--requests', '5', '--warmup', '0', '--json', '-'];
    const { stdout: log } = await bench(...load, String(await serverThat(echo)));
    const { folder, run } = cluster({ a: log, b: log });
    const child = run();
    expect(await child.untilEnded(), child.stderr).toEqual({ code: 0, signal: null });
    expect(child.stdout).toContain('2 generators');
    const calls = readFileSync(join(folder, 'calls'), 'utf8');
    expect(calls).toMatch(
      /^create configmap kecho-pool-bench --namespace testing --from-literal=start-at=@\d+\n/,
    );
    expect(calls).toContain('apply --namespace testing --kustomize .\n');
    expect(calls).toMatch(
      /\ndelete --namespace testing .*job\/kecho-pool-bench configmap\/kecho-pool-bench\n$/,
    );
  });

  it('fails without a merge, and removes the Job, when that does not complete', async () => {
    const { folder, run } = cluster({ failing: '' });
    const child = run();
    expect((await child.untilEnded()).code).toBe(1);
    expect(child.stdout).toBe('');
    expect(readFileSync(join(folder, 'calls'), 'utf8')).toMatch(/\ndelete .*\n$/);
  });
});
