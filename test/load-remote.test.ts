/**
 * Goal: bench measures a server on another machine: its CPU time comes from its admin endpoint, names are resolved, and
 * the round trip is shown beside the response times.
 * Method: an admin endpoint whose figures rise with each request; names in a namespace with its own hosts(5); two
 * namespaces whose packets take 20 ms each way (test/support/delaying-relay.ts), at full size only.
 */
import { describe, expect, it } from 'vitest';
import { locate } from '../bench/load/command/locate.ts';
import { cpuFigures, ServerCpu } from '../bench/load/command/server-cpu.ts';
import type { BenchRun } from '../bench/load/schema.ts';
import { BIN, Child, whenListening } from './support/child.ts';
import { FakeAdmin, fakeStatus } from './support/fake-admin.ts';
import { bench, runsOf } from './support/load-bench.ts';
import { deadPort, echo, serverThat } from './support/load-servers.ts';
import { inNamespace, noNamespace } from './support/namespace.ts';
import { hasCommand } from './support/process.ts';
import { FULL } from './support/size.ts';
import { until } from './support/wait.ts';

describe("the server's CPU time", () => {
  it('is the rate between two statuses, for the length of the window', () => {
    const from = { atMs: 1000, cpuMs: 500 };
    expect(cpuFigures(from, { atMs: 3000, cpuMs: 1500 }, 2200, 11_000)).toEqual({
      serverCpuMs: 1100,
      serverCpuPerSampleUs: 100,
    });
    expect(cpuFigures(from, { atMs: 3000, cpuMs: 1500 }, 2200, 0)).toEqual({ serverCpuMs: 1100 });
  });

  it.each([
    ['no status', null],
    ['the same status twice', { atMs: 1000, cpuMs: 500 }],
    ['a server that has been restarted', { atMs: 5000, cpuMs: 20 }],
  ])('is unknown, not zero, with %s', (_, to) => {
    expect(cpuFigures({ atMs: 1000, cpuMs: 500 }, to, 2000, 10)).toEqual({});
    expect(cpuFigures(null, to, 2000, 10)).toEqual({});
  });

  it('comes from the admin endpoint', async () => {
    const admin = new FakeAdmin(() => {
      const status = fakeStatus(1, 1);
      const uptimeMs = 1000 * admin.requests;
      return { ...status, uptimeMs, process: { ...status.process, cpuUserSeconds: admin.requests / 4 } };
    });
    await admin.start();
    const port = String(await serverThat(echo));
    const load = ['--clients', '1', '--requests', '5', '--warmup', '50ms', '--server-admin', admin.address];
    const child = await bench(...load, '--json', port);
    const [run] = runsOf(child);
    if (run === undefined) throw new Error(child.stderr);
    expect(child.code).toBe(0);
    expect(admin.requests).toBe(3); // before the load, and at both ends of the window
    // The figures have six digits.
    expect((run.serverCpuMs ?? 0) / (run.windowMs / 4)).toBeCloseTo(1, 4);
    expect((run.serverCpuPerSampleUs ?? 0) / ((run.windowMs * 1000) / 4 / 5)).toBeCloseTo(1, 4);
  });

  it('is refused before the load when the endpoint cannot be reached', async () => {
    const admin = `127.0.0.1:${await deadPort()}`;
    await expect(new ServerCpu(admin).check()).rejects.toThrow(`cannot reach ${admin} (ECONNREFUSED)`);
  });
});

it('a name without an address is refused in one line', async () => {
  await expect(locate({ address: 'name.invalid', port: 7 })).rejects.toThrow(
    /^cannot resolve name\.invalid \(E\w+\)$/,
  );
});

const noRelay = FULL ? (noNamespace ?? (hasCommand('nsenter') ? null : 'no nsenter')) : 'npm run test:full';

describe.skipIf(noRelay !== null)(`20 ms away${noRelay === null ? '' : `: ${noRelay}`}`, () => {
  const SERVER = '10.77.0.2';
  const ONE_WAY_MS = 20;

  it('shows the round trip, which response times include, without errors', async () => {
    const relay = inNamespace(['test/support/delaying-relay.ts', String(ONE_WAY_MS)]);
    await until(() => relay.stdout.includes('\n') || relay.ended !== null, 'the relay');
    const { client, server } = JSON.parse(relay.stdout || relay.stderr) as { client: number; server: number };
    const run = (pid: number, ...args: readonly string[]) =>
      new Child('nsenter', [`--net=/proc/${pid}/ns/net`, process.execPath, BIN, ...args]);
    const options = ['--host', SERVER, '--port', '7000', '--admin', `${SERVER}:9090`, '--no-pretty'];
    await whenListening(run(server, ...options));
    for (const mode of ['closed', 'open', 'churn']) {
      const load = ['--mode', mode, '--clients', '4', '--duration', '2s', '--server-admin', `${SERVER}:9090`];
      const child = run(client, 'bench', '--remote', ...load, '--json', '-', `${SERVER}:7000`);
      expect((await child.untilEnded(60_000)).code, child.stderr).toBe(0);
      expect(child.stderr).toMatch(/^kecho-pool bench: round trip \d+\.\d ms, part of each response time\n/);
      const found = JSON.parse(child.stdout) as BenchRun;
      expect(found.errorTotal).toBe(0);
      expect(found.roundTripMs).toBeGreaterThanOrEqual(2 * ONE_WAY_MS);
      expect(found.response.p50Ms).toBeGreaterThanOrEqual(2 * ONE_WAY_MS);
      expect(found.connect.p50Ms).toBeGreaterThanOrEqual(2 * ONE_WAY_MS);
    }
  });
});
