/**
 * Goal: without a terminal `kecho-pool top` is a plain program: text or JSON, one line per error, exit codes, and no
 * output when a signal ends it. It reports a server that is not an admin endpoint, and reports a lost server once.
 * Method: the program as a child, and its client. They query a fake admin endpoint with known figures, and servers that
 * answer otherwise or not at all. test/top-terminal.test.ts has the terminal.
 */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { frameOf } from '../src/top/frame.ts';
import { StatusClient, Unreachable } from '../src/top/status-client.ts';
import { plainView } from '../src/top/view.ts';
import { type Child, runBin, STACK, startBin } from './support/child.ts';
import { aSecondLater, FakeAdmin, fakeStatus } from './support/fake-admin.ts';
import { temporaryFolder } from './support/folder.ts';
import { pause, until } from './support/wait.ts';

/** An HTTP server on any port. */
async function serve(answer: (response: ServerResponse) => void): Promise<{ port: number }> {
  const server = createServer((_, response) => answer(response)).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  await until(() => server.listening, 'the server');
  return { port: (server.address() as AddressInfo).port };
}

/** The client of top, connected to such a server. */
async function clientOf(answer: (response: ServerResponse) => void) {
  const { port } = await serve(answer);
  const client = new StatusClient({ kind: 'tcp', host: '127.0.0.1', port }, `127.0.0.1:${port}`);
  onTestFinished(() => client.close());
  return { port, client };
}

/** One line on standard error, nothing on standard output, no stack. */
async function expectComplaint(child: Child, code: number, ...parts: string[]): Promise<void> {
  expect(await child.untilEnded()).toEqual({ code, signal: null });
  expect(child.stdout).toBe('');
  expect(child.stderr).toMatch(/^kecho-pool top: [^\n]+\n$/);
  expect(child.stderr).not.toMatch(STACK);
  for (const part of parts) expect(child.stderr).toContain(part);
}

describe('without a terminal', () => {
  it('--once prints plain text and ends, as it does without a terminal', async () => {
    const base = fakeStatus(3, 2);
    const later = aSecondLater(base);
    for (const args of [['--once'], []]) {
      const statuses = [base, later];
      const admin = await new FakeAdmin(() => statuses.shift()).start();
      const child = runBin(['top', ...args, '--interval', '100ms', admin.address]);
      expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
      expect(child.stderr).toBe('');
      expect(child.stdout).toBe(plainView(frameOf(later, base)));
      expect(child.stdout).toMatch(/^[\x20-\x7e\n]*$/);
      expect(child.stdout).toContain('echoes 12,345/s');
      expect(admin.requests).toBe(2);
    }
  });

  it('--json prints a line per request', async () => {
    const base = fakeStatus(3, 2);
    const admin = await new FakeAdmin(() => base).start();
    const child = runBin(['top', '--json', '--interval', '100ms', `http://${admin.address}/`]);
    await until(() => child.stdout.split('\n').length > 3, 'three lines');
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    const lines = child.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const { atMs, ...status } = lines[0] ?? {};
    expect(Number(atMs)).toBeGreaterThanOrEqual(0);
    expect(status).toEqual(base);
    expect(Number(lines[2]?.atMs)).toBeGreaterThan(Number(lines[1]?.atMs));
  });

  it('--json --once prints one line; takes a Unix socket from the environment', async () => {
    const path = join(temporaryFolder(), 'admin.sock');
    await new FakeAdmin(() => fakeStatus(1, 1)).start(path);
    const child = runBin(['top', '--json', '--once'], { env: { KECHO_POOL_ADMIN: path } });
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(JSON.parse(child.stdout)).toMatchObject({ atMs: expect.any(Number), pid: 4711 });
  });

  it('does not report a server lost that closes idle connections', async () => {
    const seen = new WeakSet<object>();
    const server = createServer((request, response) => {
      if (seen.has(request.socket)) request.socket.destroy();
      else response.end(JSON.stringify(fakeStatus(1, 1)));
      seen.add(request.socket);
    }).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await until(() => server.listening, 'the server');
    const { port } = server.address() as AddressInfo;
    const child = runBin(['top', '--json', '--interval', '100ms', `${port}`]);
    await until(() => child.stdout.split('\n').length > 3, 'three lines');
    child.signal('SIGINT');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.stderr).toBe('');
  });

  it('ends silently when its reader closes the pipe', async () => {
    const admin = await new FakeAdmin(() => fakeStatus(1, 1)).start();
    const child = runBin(['top', '--json', '--interval', '100ms', admin.address]);
    await until(() => child.stdout.includes('\n'), 'a line');
    child.process.stdout?.destroy();
    await child.untilEnded();
    expect(child.stderr).toBe('');
  });

  it('exits 1 with one line when the server is unreachable at the start', async () => {
    const admin = await new FakeAdmin(() => null).start();
    await admin.stop();
    await expectComplaint(
      runBin(['top', '--once', admin.address]),
      1,
      `cannot reach ${admin.address} (ECONNREFUSED)`,
    );
    await expectComplaint(
      runBin(['top', '--json', '/nowhere/admin.sock']),
      1,
      'cannot reach /nowhere/admin.sock (ENOENT)',
    );
  });

  it('reports a server that is not an admin endpoint', async () => {
    const admin = await new FakeAdmin(() => ({ hello: 'world' })).start();
    await expectComplaint(
      runBin(['top', '--once', admin.address]),
      1,
      `${admin.address} is not a kecho-pool admin endpoint`,
    );
    const { port } = await startBin([]);
    await expectComplaint(
      runBin(['top', '--once', `${port}`]),
      1,
      'is not a kecho-pool admin endpoint',
      'does not speak HTTP',
    );
  });

  it.each([
    [
      'another path',
      { status: 404, body: '{}' },
      'is not a kecho-pool admin endpoint (HTTP 404 for /status.json)',
    ],
    [
      'a body that is not JSON',
      { status: 200, body: '<p>hello' },
      'is not a kecho-pool admin endpoint (unexpected response: not JSON)',
    ],
    ['more than it reads', { status: 200, body: 'x'.repeat(16 * 2 ** 20 + 1) }, '(EMSGSIZE)'],
  ])('rejects a response with %s', async (_, { status, body }, why) => {
    const spy = vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => new AbortController().signal);
    onTestFinished(() => spy.mockRestore()); // on a busy machine 16 MiB may take longer than the real 3 s
    const { port, client } = await clientOf((response) => response.writeHead(status).end(body));
    await expect(client.status()).rejects.toThrow(Unreachable);
    await expect(client.status()).rejects.toThrow(why);
    await expect(client.status()).rejects.toThrow(`127.0.0.1:${port}`);
  });

  it('gives up after 3 s without a response', async () => {
    const timeout = AbortSignal.timeout.bind(AbortSignal);
    const spy = vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => timeout(50)); // shorter than the real 3 s
    onTestFinished(() => spy.mockRestore());
    const { port, client } = await clientOf(() => {});
    await expect(client.status()).rejects.toThrow(
      new Unreachable(`127.0.0.1:${port} did not answer within 3 s`),
    );
    expect(spy.mock.calls).toEqual([[3000]]);
  });

  it('--json reports a lost server once, and continues when it returns', async () => {
    const admin = await new FakeAdmin(() => fakeStatus(1, 1)).start();
    const child = runBin(['top', '--json', '--interval', '100ms', admin.address]);
    await until(() => child.stdout.includes('\n'), 'a line');
    await admin.stop();
    await until(() => child.stderr.includes('\n'), 'the report of the loss');
    await pause(300); // it retries in the meantime
    const before = child.stdout.length;
    await admin.start();
    await until(() => child.stdout.length > before, 'lines again');
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.stderr).toBe(
      `kecho-pool top: lost: cannot reach ${admin.address} (ECONNREFUSED); trying again\n`,
    );
  });

  it('--json ends silently while it waits for a response', async () => {
    let asked = 0;
    const { port } = await serve((response) => {
      if (asked++ === 0) response.end(JSON.stringify(fakeStatus(1, 1)));
    });
    const child = runBin(['top', '--json', '--interval', '100ms', `${port}`]);
    await until(() => asked === 2, 'the second request');
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.stdout.trimEnd().split('\n')).toHaveLength(1);
    expect(child.stderr).toBe('');
  });

  it('exits 2 with one line on wrong usage', async () => {
    await expectComplaint(runBin(['top']), 2, 'no admin address', 'KECHO_POOL_ADMIN');
  });
});
