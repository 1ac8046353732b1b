/**
 * Goal: with `--admin` the program logs the endpoint's address, serves it even while the echo port is full, stops in
 * order, and ends with one line and a documented exit code when it cannot listen.
 * Method: the program as a child process.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ServerStatus } from '../src/schema/status.ts';
import { ask, fakeSource, startAdmin, watch } from './support/admin.ts';
import { BIN, Child, runBin, startBin } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { temporaryFolder } from './support/folder.ts';
import { startServer } from './support/server.ts';
import { until } from './support/wait.ts';

describe('the command', () => {
  it('logs its address, answers, and stops in order with open streams and idle connections', async () => {
    const { child, port } = await startBin(['--admin', '0', '--drain-timeout', '60m']);
    const { url } = (await child.line('admin')) as unknown as { url: string };
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    expect(child.lines.findIndex(({ msg }) => msg === 'admin')).toBeLessThan(
      child.lines.findIndex(({ msg }) => msg === 'listening'),
    );
    await (await connectTo(port)).echo('hello');
    const reader = await watch(url);
    await reader.untilFrames(1);
    const idle = await connectTo(Number(new URL(url).port));
    idle.send('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await idle.untilAvailable(10);
    await connectTo(Number(new URL(url).port)); // silent
    const asked = [...reader.named('status')].length;
    child.signal('SIGTERM');
    await until(
      () => reader.statuses().some(({ stats }) => stats.state === 'draining'),
      'the drain to be seen',
    );
    expect(await ask(url, '/readyz')).toMatchObject({ status: 503, body: 'draining\n' });
    await until(() => {
      child.signal('SIGINT'); // cuts the connection; a SIGINT right after the first signal is ignored
      return child.ended !== null;
    }, 'the end of the process');
    expect(child.ended).toEqual({ code: 4, signal: null });
    await until(() => reader.ended, 'the end of the stream');
    expect(reader.statuses().length).toBeGreaterThan(asked);
    expect(reader.statuses().at(-1)?.stats).toMatchObject({
      state: 'stopped',
      connections: { closed: { cut: 1 } },
    });
    expect(child.stderr).toBe('');
  });

  it('is not ready during the drain delay, in which the server accepts; a second signal ends it', async () => {
    const { child, port } = await startBin(['--admin', '0', '--drain-delay', '60m']);
    const { url } = (await child.line('admin')) as unknown as { url: string };
    expect(await ask(url, '/readyz')).toMatchObject({ status: 200 });
    child.signal('SIGTERM');
    expect(await child.line('not ready; still accepting before the drain')).toMatchObject({
      drainDelayMs: 3_600_000,
    });
    expect(await ask(url, '/readyz')).toMatchObject({ status: 503, body: 'drain delay\n' });
    expect(await ask(url, '/livez')).toMatchObject({ status: 200 });
    await (await connectTo(port)).echo('accepted');
    await until(() => {
      child.signal('SIGINT');
      return child.ended !== null;
    }, 'the end of the process');
    expect(child.ended).toEqual({ code: 4, signal: null });
  });

  it('exits 0 silently on a signal during the start', async () => {
    const child = runBin(['--port', '0', '--no-pretty', '--admin', '0']);
    await child.line('admin'); // the threads are started after it
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.stderr).toBe('');
  });

  it('exits 3 with one line when it cannot bind, without starting the server', async () => {
    const { port } = await startAdmin(fakeSource());
    const cases = [
      [`127.0.0.1:${port}`, 'EADDRINUSE'],
      ['/nonexistent/a.sock', 'the folder does not exist'],
      ['192.0.2.1:0', 'EADDRNOTAVAIL'],
    ] as const;
    for (const [where, why] of cases) {
      const child = runBin(['--port', '0', '--no-pretty', '--admin', where]);
      expect(await child.untilEnded()).toEqual({ code: 3, signal: null });
      expect(child.stdout).toBe('');
      expect(child.stderr).toMatch(/^kecho-pool: cannot listen on --admin [^\n]+\n$/);
      expect(child.stderr).toContain(`${where}: `);
      expect(child.stderr).toContain(why);
    }
  });

  it('exits 3 when the echo port is taken, and leaves no socket behind', async () => {
    const { port } = await startServer({});
    const path = join(temporaryFolder(), 'a.sock');
    const child = runBin(['--port', String(port), '--no-pretty', '--admin', path]);
    expect(await child.untilEnded()).toEqual({ code: 3, signal: null });
    expect(child.stderr).toContain(`port ${port}`);
    expect(existsSync(path)).toBe(false);
  });

  it('exits 2 for an invalid address, by flag and by environment', async () => {
    const flag = runBin(['--admin', 'nowhere']);
    expect(await flag.untilEnded()).toEqual({ code: 2, signal: null });
    expect(flag.stderr).toMatch(/^kecho-pool: --admin: "nowhere" is not allowed: a port like 9090[^\n]+\n$/);
    const variable = runBin([], { env: { KECHO_POOL_ADMIN: '70000' } });
    expect(await variable.untilEnded()).toEqual({ code: 2, signal: null });
    expect(variable.stderr).toContain('KECHO_POOL_ADMIN: "70000"');
  });

  it('reserves descriptors for it: it answers while the echo port refuses', async () => {
    const script = `ulimit -n 256 && exec "$0" "$@"`;
    const args = ['--port', '0', '--no-pretty', '--strategy', 'workqueue', '--workers', '2', '--admin', '0'];
    const child = new Child('sh', ['-c', script, process.execPath, BIN, ...args]);
    const listening = await child.line('listening');
    const { url } = (await child.line('admin')) as unknown as { url: string };
    const { maxConnections, reserve } = listening.limits as { maxConnections: number; reserve: number };
    expect(reserve).toBe(64 + 80 + 2 * 8);
    expect(maxConnections).toBe(256 - reserve);
    const port = Number(listening.port);
    const attempts = Array.from({ length: maxConnections + 20 }, () => connectTo(port).catch(() => null));
    await Promise.all(attempts);
    const statusOf = async () => JSON.parse((await ask(url, '/status.json')).body) as ServerStatus;
    // An established connection waits in the backlog until the server accepts it.
    await until(async () => {
      const { active, refused } = (await statusOf()).stats.connections;
      return active + refused.maxConnections === attempts.length;
    }, 'all to be accepted or refused');
    const statuses = await Promise.all(Array.from({ length: 32 }, () => ask(url, '/status.json')));
    for (const { status } of statuses) expect(status).toBe(200);
    const { stats } = await statusOf();
    expect(stats.connections.active).toBe(maxConnections);
    expect(stats.connections.refused.maxConnections).toBe(20);
    expect(stats.connections.refused.descriptors).toBe(0);
    expect(child.linesSaying('accepting paused; clients wait in the backlog')).toEqual([]);
  });
});
