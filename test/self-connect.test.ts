/**
 * Goal: every client in this repository treats a connection to itself, which TCP makes when no server listens on an
 * ephemeral port, as refused; and bench finds a server on any address of localhost.
 * Method: each client in its own network namespace, where connect(2) assigns only the ports 40000 and 40001 and the
 * target is 127.0.0.1:40000; the first test shows that the kernel makes such a connection there.
 */
import { describe, expect, it } from 'vitest';
import { BIN, type Child } from './support/child.ts';
import { inNamespace, noNamespace } from './support/namespace.ts';
import { until } from './support/wait.ts';

const PORT = 40_000;
const PORTS = [PORT, PORT + 1] as const;

async function run(...command: string[]): Promise<Child & { code: number | null }> {
  const child = inNamespace(command, { ports: PORTS });
  const { code } = await child.untilEnded();
  return Object.assign(child, { code });
}

/** Runs a module there, and returns what it prints as JSON. */
async function evaluated(code: string): Promise<unknown> {
  const child = await run(process.execPath, '--input-type=module', '-e', code);
  if (child.stdout === '') throw new Error(child.stderr);
  return JSON.parse(child.stdout);
}

function source(path: string): string {
  return JSON.stringify(new URL(`../${path}`, import.meta.url).href);
}

describe.skipIf(noNamespace !== null)(
  `connected to itself${noNamespace === null ? '' : `: ${noNamespace}`}`,
  () => {
    it('happens in this namespace', async () => {
      const ends = await evaluated(`
      import { connect } from 'node:net';
      const socket = connect(${PORT}, '127.0.0.1', () => {
        console.log(JSON.stringify([socket.localPort, socket.remotePort]));
        socket.destroy();
      });`);
      expect(ends).toEqual([PORT, PORT]);
    });

    it.each(['burst', 'closed', 'open', 'churn'])('bench, %s: refused, exit 1', async (mode) => {
      const few = mode === 'open' ? ['--duration', '100ms'] : ['--requests', '3'];
      const child = await run(
        'src/bin.ts',
        ...['bench', '--mode', mode, '--clients', '1', '--warmup', '0', '--json', ...few, String(PORT)],
      );
      const { errors, errorTotal, completed } = JSON.parse(child.stdout);
      expect([completed, errors.refused, child.code]).toEqual([0, errorTotal, 1]);
      expect(errorTotal).toBeGreaterThan(0);
    });

    it('the idle connections of compare: failed', async () => {
      const holder = inNamespace(['bench/compare/idle-holder.ts', String(PORT), '2'], { ports: PORTS });
      await until(() => holder.stdout.includes('\n') || holder.ended !== null, 'what it holds');
      expect(JSON.parse(holder.stdout)).toEqual({ held: 0, failed: 2 });
      holder.process.stdin?.end();
      await holder.untilEnded();
    });

    it('the waves of overload: refused', async () => {
      const wave = await run('bench/lab/overload/wave.ts', String(PORT), '2', '1000', '1');
      expect(JSON.parse(wave.stdout)).toMatchObject([{ admitted: 0, refused: { ECONNREFUSED: 2 } }]);
    });

    it('the load of the soak: refused', async () => {
      const lanes = { echo: 1, churn: 0, halfClose: 0, reset: 0, slow: 0, silent: 0 };
      const plan = JSON.stringify({ port: PORT, seed: 1, lanes });
      // It binds its sockets to an address first, and bind(2) prefers odd ports.
      const soak = inNamespace(['bench/lab/soak/load-child.ts', plan], { ports: [PORT, PORT] });
      soak.process.stdin?.write('hold\nrelease\nstop\n');
      await soak.untilEnded();
      const counts = JSON.parse(soak.stdout.trim().split('\n').at(-1) ?? '');
      expect(counts).toMatchObject({ opened: 0, lost: 0, bytes: 0 });
      expect(counts.refused).toBeGreaterThan(0);
    });

    it('the demo: no answer', async () => {
      const answers = await evaluated(`
      import { Crowd } from ${source('src/demo/crowd.ts')};
      let answers = 0;
      const crowd = new Crowd(${PORT}, 1, { answered: () => answers++ });
      setTimeout(async () => {
        await crowd.close();
        console.log(answers);
      }, 500);`);
      expect(answers).toBe(0);
    });

    it('a script of the fuzzer: a violation', async () => {
      const message = await evaluated(`
      import { Connection } from ${source('test/fuzz/connection.ts')};
      import { Sources } from ${source('bench/load/sources.ts')};
      import { epollCreate } from ${source('src/sys/epoll.ts')};
      import { encodeSockaddr } from ${source('src/sys/sockaddr.ts')};
      const script = { operations: [{ do: 'toEnd' }], receiveBuffer: 0, sendBuffer: 0, segment: 0 };
      const environment = {
        epfd: epollCreate(),
        target: encodeSockaddr('127.0.0.1', ${PORT}),
        sources: new Sources('127.0.0.1', 1),
      };
      try {
        new Connection(script).start(environment, 0);
        console.log(JSON.stringify('connected'));
      } catch (error) {
        console.log(JSON.stringify(error.message));
      }`);
      expect(message).toBe('cannot connect: ECONNREFUSED');
    });

    it('top: cannot reach the server', async () => {
      const { code, stderr } = await run('src/bin.ts', 'top', '--once', String(PORT));
      expect(code).toBe(1);
      expect(stderr).toBe(`kecho-pool top: cannot reach 127.0.0.1:${PORT} (ECONNREFUSED)\n`);
    });

    it('the probe for a server: none', async () => {
      const found = await evaluated(`
      import { answers } from ${source('bench/probe.ts')};
      console.log(JSON.stringify(await answers(${PORT})));`);
      expect(found).toBe(false);
    });
  },
);

describe.skipIf(noNamespace !== null)('names with ::1 first in hosts(5)', () => {
  const hosts = '::1 localhost host.test\n127.0.0.1 localhost host.test\n';

  it.each([
    ['localhost', 'localhost'],
    ['localhost', '::1'],
    ['host.test', '127.0.0.1'],
  ])('bench %s finds the server that listens on %s', async (name, host) => {
    const script = `
      import { spawn } from 'node:child_process';
      const bin = ${JSON.stringify(BIN)};
      const server = spawn(process.execPath, [bin, '--host', ${JSON.stringify(host)}, '--port', '23456', '--no-pretty']);
      server.stdout.setEncoding('utf8').on('data', (text) => {
        if (!text.includes('"listening"')) return;
        const args = ['bench', '--clients', '1', '--requests', '5', '--warmup', '0', '--json', ...${JSON.stringify(name === 'localhost' ? [] : ['--remote'])}, '${name}:23456'];
        spawn(process.execPath, [bin, ...args], { stdio: 'inherit' }).on('close', (code) => {
          server.kill();
          process.exitCode = code;
        });
      });`;
    const child = inNamespace([process.execPath, '--input-type=module', '-e', script], { hosts });
    const { code } = await child.untilEnded(100_000); // two starts, on a busy machine
    const { completed, target } = JSON.parse(child.stdout);
    expect([completed, code]).toEqual([5, 0]);
    expect(target).toBe(host === '127.0.0.1' ? '127.0.0.1:23456' : '[::1]:23456');
  });
});
