/**
 * Goal: under a service manager a restart refuses no client: the server inherits the socket, unless it is meant for
 * another process. The units in deploy/ are valid.
 * Method: this process plays the manager: it makes the listening socket, starts one server after the other on it
 * under load and counts on both sides. Then systemd's own tools, where installed. For notifications to the manager see
 * test/sd-notify.test.ts.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { freePort } from '../bench/free-port.ts';
import { takeInheritedSocket } from '../src/cli/systemd.ts';
import { BIN, Child, runBin, whenListening } from './support/child.ts';
import { connectTo, pattern } from './support/client.ts';
import { temporaryFolder } from './support/folder.ts';
import { listening, runActivated } from './support/listening.ts';
import { hasCommand } from './support/process.ts';
import { until } from './support/wait.ts';

describe('an inherited socket', () => {
  it('is used instead of binding, whatever --host and --port say', async () => {
    const { fd, port } = listening();
    const args = ['--port', '1', '--host', '192.0.2.1', '--strategy', 'kthread'];
    const { child, listening: line } = await whenListening(runActivated(fd, args));
    expect(line).toMatchObject({ inherited: true, address: '127.0.0.1', port });
    expect(child.linesSaying('options ignored: the listening socket is inherited')).toMatchObject([
      { unused: ['--port', '--host'] },
    ]);
    const client = await connectTo(port);
    await client.echo('served');
    expect((await child.stats()).connections.accepted).toBe(1);
    await client.quit();
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  });

  it('is not used when it is meant for another process', async () => {
    const { fd } = listening();
    const child = runBin(['--port', '0', '--no-pretty', '--strategy', 'kthread'], {
      env: { LISTEN_PID: '1', LISTEN_FDS: '1' },
      inherited: fd,
    });
    const { listening: line } = await whenListening(child);
    expect(line).not.toHaveProperty('inherited');
  });

  it.each([
    ['two sockets', '2', 'one listening TCP socket (Accept=no)'],
    ['no number', 'x', 'one listening TCP socket (Accept=no)'],
  ])('is refused for %s: one line, exit 2', async (_, count, allowed) => {
    const child = runActivated(listening().fd, [], { env: { LISTEN_FDS: count } });
    expect(await child.untilEnded()).toEqual({ code: 2, signal: null });
    expect(child.stderr).toBe(`kecho-pool: LISTEN_FDS: "${count}" is not allowed: ${allowed}\n`);
    expect(child.stdout).toBe('');
  });

  it('is removed from the environment', () => {
    const environment = { LISTEN_PID: '7', LISTEN_FDS: '0', LISTEN_FDNAMES: 'a', PATH: '/bin' };
    expect(takeInheritedSocket(environment, 7)).toBeNull();
    expect(environment).toEqual({ PATH: '/bin' });
  });
});

/** Clients that connect, echo and close without pause. */
function startClients(port: number, lanes: number) {
  let served = 0;
  let stopping = false;
  const failures: string[] = [];
  const one = (text: Buffer) =>
    new Promise<void>((resolve) => {
      const socket = connect({ port, host: '127.0.0.1' });
      const got: Buffer[] = [];
      const fail = (why: string) => {
        failures.push(why);
        resolve();
      };
      socket.on('connect', () => socket.end(text));
      socket.on('data', (chunk: Buffer) => got.push(chunk));
      socket.on('error', ({ message }) => fail(message));
      socket.on('end', () => {
        if (!Buffer.concat(got).equals(text)) return fail(`${Buffer.concat(got).length} bytes`);
        served++;
        resolve();
      });
    });
  const lane = async (number: number) => {
    for (let i = 0; !stopping; i++) await one(pattern(1 + ((i * 997) % 5000), number * 100_000 + i));
  };
  const all = Promise.all(Array.from({ length: lanes }, (_, i) => lane(i)));
  return {
    served: () => served,
    async stop() {
      stopping = true;
      await all;
      return { served, failures };
    },
  };
}

describe('restart under load', () => {
  it('refuses and loses no connection, three times over', async () => {
    const { fd, port } = listening();
    const clients = startClients(port, 6);
    let accepted = 0;
    for (const strategy of ['cmwq', 'workqueue', 'kthread', 'cmwq']) {
      const { child } = await whenListening(runActivated(fd, ['--strategy', strategy]));
      const before = clients.served();
      await until(() => clients.served() >= before + 60, 'sixty more connections served');
      const last = accepted; // with the last server, the clients stop first
      const result = strategy === 'cmwq' && last > 0 ? await clients.stop() : null;
      child.signal('SIGTERM');
      expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
      const stopped = await child.line('stopped');
      expect(stopped).toMatchObject({ cut: 0, threadsEnded: true });
      accepted += Number(stopped.accepted);
      expect(child.stderr).toBe('');
      if (result !== null) expect(result).toEqual({ served: accepted, failures: [] });
    }
    expect((await clients.stop()).served).toBe(accepted);
  }, 240_000);

  it.skipIf(!hasCommand('systemd-socket-activate'))('works with systemd-socket-activate', async () => {
    const port = freePort();
    const args = ['-l', `127.0.0.1:${port}`, process.execPath, BIN, '--no-pretty', '--strategy', 'kthread'];
    const child = new Child('systemd-socket-activate', args);
    await until(() => child.stderr.includes('Listening on'), 'the socket');
    const first = await connectTo(port, { first: Buffer.from('starts the server') });
    expect((await first.readExactly(17)).toString()).toBe('starts the server');
    expect(await child.line('listening')).toMatchObject({ inherited: true, port });
    await first.quit();
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(await child.line('stopped')).toMatchObject({ accepted: 1, cut: 0 });
  });
});

describe.skipIf(!hasCommand('systemd-analyze'))('deploy/systemd (package systemd)', () => {
  const UNITS = fileURLToPath(new URL('../deploy/systemd', import.meta.url));

  /** Copies of the units that start Node, which exists, instead of the installed program. */
  function units(): string[] {
    const folder = temporaryFolder();
    return ['kecho-pool.service', 'kecho-pool.socket'].map((name) => {
      const text = readFileSync(join(UNITS, name), 'utf8');
      const path = join(folder, name);
      writeFileSync(
        path,
        text.replace('ExecStart=/usr/local/bin/kecho-pool', `ExecStart=${process.execPath}`),
      );
      return path;
    });
  }

  it('passes systemd-analyze verify without a message', () => {
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', ...units()], {
      encoding: 'utf8',
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  it('has an exposure below 1 of 10 in systemd-analyze security', () => {
    const [service = ''] = units();
    const args = ['security', '--offline=true', '--threshold=10', '--no-pager', service];
    const report = execFileSync('systemd-analyze', args, { encoding: 'utf8' }); // fails above the threshold
    expect(report).toContain('Overall exposure level');
  });

  it('starts the program with valid options, and waits longer than it drains', () => {
    const text = readFileSync(join(UNITS, 'kecho-pool.service'), 'utf8');
    const command = /^ExecStart=\S+ (.*)$/m.exec(text)?.[1]?.split(' ') ?? [];
    const printed = execFileSync(process.execPath, [BIN, ...command, '--print-config'], { encoding: 'utf8' });
    const { drainTimeoutMs } = JSON.parse(printed) as { drainTimeoutMs: number };
    expect(Number(/^TimeoutStopSec=(\d+)s$/m.exec(text)?.[1]) * 1000).toBeGreaterThan(drainTimeoutMs + 5000);
  });
});
