/**
 * Goal: with `--reuse-port` servers share a port, and one that stops leaves it to the others; without it the second
 * fails because the port is taken.
 * Method: the program twice as a child process, and two servers in this process.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runBin, startBin, whenListening } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { startServer } from './support/server.ts';

describe('--reuse-port', () => {
  const kthread = ['--strategy', 'kthread'];

  it('lets two servers share a port, and both get connections', async () => {
    const first = await startBin(['--reuse-port', ...kthread]);
    const args = ['--reuse-port', '--port', String(first.port), '--no-pretty', ...kthread];
    const second = await whenListening(runBin(args));
    for (let i = 0; i < 30; i++) {
      const client = await connectTo(first.port);
      await client.echo(`number ${i}`);
      await client.quit();
    }
    const counts = [await first.child.stats(), await second.child.stats()].map((s) => s.connections.accepted);
    expect(counts[0]).toBeGreaterThan(0);
    expect(counts[1]).toBeGreaterThan(0);
    expect(Number(counts[0]) + Number(counts[1])).toBe(30);
  });

  it('leaves the port to the other server when one stops', async () => {
    const options = { reusePort: true, strategy: 'kthread' } as const;
    const first = await startServer(options);
    const second = await startServer({ ...options, port: first.port });
    await first.server.close();
    for (let i = 0; i < 5; i++) await (await connectTo(second.port)).echo(`number ${i}`);
    expect(second.server.stats().connections.accepted).toBe(5);
  });

  it.each(['docs/operating.md', 'deploy/systemd/README.md', 'docs/options.md'])(
    'is described in %s with the sysctl that passes pending handshakes to the next server',
    (file) => {
      const text = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
      expect(text).toMatch(/reuse-port[\s\S]{1,400}tcp_migrate_req ?= ?1/);
    },
  );

  it('is needed by both servers: without it the second exits 3 with EADDRINUSE', async () => {
    const { port } = await startBin(['--reuse-port', ...kthread]);
    const second = runBin(['--port', String(port), '--no-pretty', ...kthread]);
    expect(await second.untilEnded()).toEqual({ code: 3, signal: null });
    expect(second.stderr).toContain('EADDRINUSE');
  });
});
