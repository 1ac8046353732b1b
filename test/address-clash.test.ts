/**
 * Goal: an admin endpoint on the echo service's own address is refused before anything listens, and no other is.
 * Method: the pure check for many addresses; the program as a child process for its messages and for combinations.
 */
import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../bench/free-port.ts';
import { overlap, refuseClash } from '../src/cli/address-clash.ts';
import { gatherOptions } from '../src/cli/environment.ts';
import { resolveOptions, UsageError } from '../src/options/index.ts';
import { BIN, Child, runBin, startBin } from './support/child.ts';

const USAGE = 2;

/** The message for a command line; null if nothing clashes. */
async function complaint(flags: Record<string, unknown>, environment = {}): Promise<string | null> {
  const { given, nameOf, writtenOf } = gatherOptions(flags, environment);
  try {
    await refuseClash(resolveOptions(given, nameOf, writtenOf), nameOf, writtenOf);
    return null;
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
}

describe('two addresses with one port', () => {
  it.each([
    ['127.0.0.1', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
    ['127.0.0.1', '0.0.0.0'],
    ['::', '127.0.0.1'],
    ['::1', '::'],
    ['0:0::0', '127.0.0.1'],
    ['::1', '::0'],
    ['::1', '0:0::1'],
    ['fe80::1%eth0', 'fe80::1%eth0'],
  ])('clash: %s and %s', (one, other) => {
    expect(overlap(one, other)).toBe(true);
  });

  it.each([
    ['127.0.0.1', '127.0.0.2'],
    ['127.0.0.1', '::1'],
    ['0.0.0.0', '::1'],
    ['::1', '0.0.0.0'],
    ['fe80::1%eth0', 'fe80::1%eth1'],
  ])('do not clash: %s and %s', (one, other) => {
    expect(overlap(one, other)).toBe(false);
  });
});

describe('the admin endpoint', () => {
  it('is refused on the address of the echo service, in a line that names both options', async () => {
    const allowed = 'a port other than that of the echo service, 127.0.0.1 port 7000';
    expect(await complaint({ port: '7000', admin: '7000' })).toBe(
      `--admin: "7000" is not allowed: ${allowed} (--port), or 0 for any free one`,
    );
    const environment = { KECHO_POOL_ADMIN: '127.0.0.1:7000', KECHO_POOL_PORT: '7000' };
    expect(await complaint({}, environment)).toBe(
      `KECHO_POOL_ADMIN: "127.0.0.1:7000" is not allowed: ${allowed} (KECHO_POOL_PORT), or 0 for any free one`,
    );
    expect(await complaint({ admin: '12345' })).toContain('127.0.0.1 port 12345 (--port)');
    expect(await complaint({ admin: 'localhost:7000', host: 'localhost', port: '7000' })).not.toBeNull();
    expect(await complaint({ admin: '7000', host: '0.0.0.0', port: '7000' })).toContain('0.0.0.0 port 7000');
  });

  it.each([
    { port: '7000' },
    { port: '0', admin: '0' },
    { port: '7000', admin: '7001' },
    { port: '7000', admin: '127.0.0.2:7000' },
    { port: '7000', admin: '[::1]:7000' },
    { port: '7000', admin: './7000' },
    { port: '7000', admin: 'nowhere.invalid:7000' }, // listening will fail, with the reason
  ])('does not clash: %j', async (flags) => {
    expect(await complaint(flags)).toBeNull();
  });
});

describe('the program', () => {
  it('fails with one line and exit code 2 before it listens', async () => {
    const port = String(freePort());
    for (const more of [[], ['--print-config'], ['--reuse-port']]) {
      const child = runBin(['--port', port, '--admin', port, ...more]);
      expect(await child.untilEnded()).toEqual({ code: USAGE, signal: null });
      expect(child.stdout).toBe('');
      expect(child.stderr).toMatch(/^kecho-pool: --admin: [^\n]* is not allowed: [^\n]*\(--port\)[^\n]*\n$/);
    }
  });

  it('listens on the same port of two addresses', async () => {
    const port = freePort();
    const { child } = await startBin(['--port', String(port), '--admin', `127.0.0.2:${port}`]);
    expect(await child.line('admin')).toMatchObject({ url: `http://127.0.0.2:${port}/` });
  });

  it('does not check with an inherited socket, since --port is not used', async () => {
    const port = freePort();
    const server = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const fd = (server as unknown as { _handle: { fd: number } })._handle.fd;
    const script = 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$0" "$@"';
    const args = [BIN, '--no-pretty', '--port', String(port), '--admin', String(port)];
    const child = new Child('sh', ['-c', script, process.execPath, ...args], { inherited: fd });
    expect(await child.line('admin')).toMatchObject({ url: `http://127.0.0.1:${port}/` });
    expect(await child.line('listening')).toMatchObject({ inherited: true });
  });
});
