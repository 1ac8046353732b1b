/**
 * Goal: the admin endpoint listens only at the given address; its Unix socket is accessible to the owner only, replaces
 * only a stale socket, and is removed at the stop.
 * Method: addresses as text; endpoints in this process with a fake status, on [::1] and on Unix sockets, with sockets
 * and files of other programs in place.
 */
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createAdmin } from '../src/admin/index.ts';
import { parseAdminAddress } from '../src/options/admin-address.ts';
import { libc } from '../src/sys/libc.ts';
import { ask, fakeSource, startAdmin } from './support/admin.ts';
import { Child, runBin } from './support/child.ts';
import { temporaryFolder } from './support/folder.ts';
import { until } from './support/wait.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;

/** Another program's socket at this path. */
function bindUnix(type: number, path: string): number {
  const fd = libc.socket(AF_UNIX, type, 0);
  const address = Buffer.concat([Buffer.from([AF_UNIX, 0]), Buffer.from(`${path}\0`)]); // native byte order
  onTestFinished(() => {
    libc.close(fd);
  });
  expect(libc.bind(fd, address, address.length)).toBe(0);
  return fd;
}

describe('an address', () => {
  it.each([
    ['9090', { kind: 'tcp', host: '127.0.0.1', port: 9090 }],
    ['0', { kind: 'tcp', host: '127.0.0.1', port: 0 }],
    ['127.0.0.1:65535', { kind: 'tcp', host: '127.0.0.1', port: 65535 }],
    ['[::1]:80', { kind: 'tcp', host: '::1', port: 80 }],
    ['0.0.0.0:9090', { kind: 'tcp', host: '0.0.0.0', port: 9090 }],
    ['localhost:1', { kind: 'tcp', host: 'localhost', port: 1 }],
    ['/run/kecho.sock', { kind: 'unix', path: '/run/kecho.sock' }],
    ['./k.sock', { kind: 'unix', path: './k.sock' }],
    ['unix:k.sock', { kind: 'unix', path: 'k.sock' }],
    [`/${'x'.repeat(106)}`, { kind: 'unix', path: `/${'x'.repeat(106)}` }],
  ])('%s', (text, address) => {
    expect(parseAdminAddress(text)).toEqual(address);
  });

  it.each([
    '',
    'on',
    '65536',
    '-1',
    '1.5',
    ':9090',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:99999',
    '::1:80',
    '[::1]',
    '[127.0.0.1]:80',
    'http://127.0.0.1:80',
    'a b:80',
    'unix:',
    '/',
    '/a\n',
    '/a\0b',
    `/${'x'.repeat(107)}`,
    `/${'é'.repeat(54)}`,
  ])('not %j', (text) => {
    expect(parseAdminAddress(text)).toBeNull();
    expect(() => createAdmin(fakeSource(), { listen: text })).toThrow(/^listen: .*a port like 9090/);
  });
});

const hasLoopback6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
);

it.skipIf(!hasLoopback6)('listens on [::1], and accepts only its own names there', async () => {
  const { url, port } = await startAdmin(fakeSource(), { listen: '[::1]:0' });
  expect(url).toBe(`http://[::1]:${port}/`);
  const withHost = async (host: string) => (await ask(url, '/livez', { headers: { Host: host } })).status;
  expect(await withHost(`[::1]:${port}`)).toBe(200);
  expect(await withHost('[::2]')).toBe(421);
});

it('throws for its URL before it listens', () => {
  expect(() => createAdmin(fakeSource()).url).toThrow('is not listening');
});

describe('a Unix socket', () => {
  it('has mode 0600, answers, and is removed at the stop', async () => {
    const path = join(temporaryFolder(), 'a.sock');
    const { admin, url } = await startAdmin(fakeSource(), { listen: path });
    expect(url).toBe(`unix:${path}`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await ask(url, '/livez', { headers: { Host: 'anything' } })).toMatchObject({ status: 200 });
    await admin.close();
    expect(existsSync(path)).toBe(false);
  });

  it('replaces the socket of a killed process, but not one in use', async () => {
    const path = join(temporaryFolder(), 'a.sock');
    const script = `net.createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    await new Child(process.execPath, ['--eval', script]).untilEnded();
    expect(existsSync(path)).toBe(true);
    const { url } = await startAdmin(fakeSource(), { listen: path });
    await expect(createAdmin(fakeSource(), { listen: path }).listen()).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    expect((await ask(url, '/livez')).status).toBe(200);
  });

  it('does not replace a socket whose backlog is full', async () => {
    const path = join(temporaryFolder(), 'a.sock');
    const fd = bindUnix(SOCK_STREAM, path);
    expect(libc.listen(fd, 0)).toBe(0); // never accepts
    const waiting: Socket[] = [];
    onTestFinished(() => waiting.forEach((socket) => void socket.destroy()));
    const isFull = async () => {
      const socket = connect({ path });
      waiting.push(socket);
      const [result] = await Promise.race([
        once(socket, 'connect').then(() => ['taken']),
        once(socket, 'close').then(() => ['refused']),
      ]).catch(({ code }: NodeJS.ErrnoException) => [code]);
      return result === 'EAGAIN';
    };
    await until(isFull, 'the backlog to be full');
    await expect(createAdmin(fakeSource(), { listen: path }).listen()).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    expect(existsSync(path)).toBe(true);
  });

  it('does not replace a datagram socket, and reports the error', async () => {
    const path = join(temporaryFolder(), 'a.sock');
    bindUnix(SOCK_DGRAM, path);
    const child = runBin(['--port', '0', '--no-pretty', '--admin', path]);
    expect(await child.untilEnded()).toEqual({ code: 3, signal: null });
    expect(child.stdout).toBe('');
    expect(child.stderr).toBe(`kecho-pool: cannot listen on --admin ${path}: connect EPROTOTYPE ${path}\n`);
    expect(existsSync(path)).toBe(true);
  });

  it('never removes another kind of file', async () => {
    const path = join(temporaryFolder(), 'precious');
    writeFileSync(path, 'content');
    chmodSync(path, 0o644);
    await expect(createAdmin(fakeSource(), { listen: path }).listen()).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    expect(readFileSync(path, 'utf8')).toBe('content');
    expect(statSync(path).mode & 0o777).toBe(0o644);
  });
});
