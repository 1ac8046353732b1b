/**
 * Goal: the program stops as it says: a first signal drains, the deadline or a second signal cuts, the exit
 * code tells which, and the port is free at once. SIGUSR2 only reports. Others change no byte, whichever thread
 * they come to.
 * Method: the program as a child process. Every step waits for what it brings about: a log line, an echo,
 * the end of the process. Its threads get signals all the time while clients echo.
 */
import { readdirSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { BIN, Child, runBin, startBin, whenListening } from './support/child.ts';
import { connectTo, expectBytes, pattern } from './support/client.ts';
import { STRATEGIES, type StrategyName, startServer } from './support/server.ts';
import { inParallel, pause, until } from './support/wait.ts';

/** Longer than src/cli.ts takes two signals for one. */
const NEXT_SIGNAL_MS = 150;

async function expectExit(child: Child, code: number): Promise<void> {
  expect(await child.untilEnded()).toEqual({ code, signal: null });
  expect(child.stderr).toBe('');
}

async function expectPortFree(port: number): Promise<void> {
  const { server } = await startServer({ strategy: 'kthread', port });
  await server.close();
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

function start(strategy: StrategyName, drainTimeout: string) {
  return startBin(['--strategy', strategy, '--drain-timeout', drainTimeout]);
}

describe.each(STRATEGIES)('%s', (strategy) => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s: no new connections, open ones finish, exit 0',
    async (signal) => {
      const { child, port } = await start(strategy, '1m');
      const clients = [await connectTo(port), await connectTo(port)];
      for (const client of clients) await client.echo('before');
      child.signal(signal);
      expect(await child.line('draining')).toMatchObject({ connections: 2 });
      await expect(connectTo(port)).rejects.toThrow('ECONNREFUSED');
      for (const client of clients) await client.echo(pattern(100_000));
      for (const client of clients) {
        expect(child.ended).toBeNull();
        await client.quit();
      }
      await expectExit(child, 0);
      expect(await child.line('stopped')).toMatchObject({ cut: 0, threadsEnded: true });
      await expectPortFree(port);
    },
  );

  it('cuts at the deadline: exit 4, and the port is free at once', async () => {
    const { child, port } = await start(strategy, '200ms');
    const clients = [await connectTo(port), await connectTo(port)];
    for (const client of clients) await client.echo('before');
    child.signal('SIGTERM');
    for (const client of clients) {
      expectBytes(await client.readToEnd(), '');
      client.end();
    }
    await expectExit(child, 4);
    expect(await child.line('stopped')).toMatchObject({ cut: 2, threadsEnded: true });
    await expectPortFree(port);
  });

  it('cuts a peer that does not read', async () => {
    const { child, port } = await start(strategy, '200ms');
    const client = await connectTo(port);
    await client.echo('before');
    client.socket.pause();
    client.send(Buffer.alloc(32 << 20));
    await until(() => client.socket.writableNeedDrain, 'the server to take no more');
    child.signal('SIGTERM');
    await expectExit(child, 4);
  });

  it('cuts at a second signal', async () => {
    const { child, port } = await start(strategy, '5m');
    const client = await connectTo(port);
    await client.echo('before');
    child.signal('SIGTERM');
    await child.line('draining');
    await pause(NEXT_SIGNAL_MS);
    await client.echo('still served');
    child.signal('SIGTERM');
    expectBytes(await client.readToEnd(), '');
    client.end();
    await expectExit(child, 4);
    expect(await child.line('stopped')).toMatchObject({ cut: 1 });
  });

  it('takes two signals at once for one', async () => {
    const { child, port } = await start(strategy, '5m');
    const client = await connectTo(port);
    await client.echo('before');
    child.signal('SIGSTOP'); // so that both are there when it goes on, however busy the machine is
    child.signal('SIGINT');
    child.signal('SIGTERM'); // two of the same would be one to the kernel already
    child.signal('SIGCONT');
    await child.line('draining');
    await client.echo('still served');
    await client.quit();
    await expectExit(child, 0);
  });

  it('exits 0 at once when nobody is connected', async () => {
    const { child, port } = await start(strategy, '5m');
    await (await connectTo(port)).quit();
    child.signal('SIGTERM');
    await expectExit(child, 0);
  });

  it('logs one line with its figures at SIGUSR2', async () => {
    const { child, port } = await start(strategy, '0');
    const gone = await connectTo(port);
    await gone.echo('gone');
    await gone.quit();
    const open = await connectTo(port);
    await open.echo('open');
    // What was sent is counted after it is sent.
    await until(async () => {
      const { connections, bytesIn, bytesOut } = await child.stats();
      return connections.active === 1 && bytesOut === bytesIn;
    }, 'the first to be gone');
    const linesBefore = child.linesSaying('stats').length;
    const stats = await child.stats();
    expect(stats).toMatchObject({ state: 'listening', strategy, bytesIn: 8, bytesOut: 8, echoes: 2 });
    expect(stats.connections).toMatchObject({ accepted: 2, active: 1, queued: 0 });
    expect(stats.connections.closed).toMatchObject({
      eof: 1,
      error: 0,
      spillLimit: 0,
      cut: 0,
      workerDied: 0,
    });
    expect(sum(stats.connections.refused)).toBe(0);
    expect(stats.spills).toEqual({ total: 0, inUse: 0 });
    expect(stats.threads.alive).toBeGreaterThanOrEqual(1);
    expect(stats.threads.created).toBeGreaterThanOrEqual(stats.threads.alive);
    expect(stats.cpuPools.reduce((sum, pool) => sum + pool.connections, 0)).toBe(strategy === 'cmwq' ? 1 : 0);
    await open.echo('and on');
    expect(child.linesSaying('stats')).toHaveLength(linesBefore + 1);
  });
});

describe.each(STRATEGIES)('%s: signals all the time', (strategy) => {
  it('every byte comes back', async () => {
    const handler = 'data:text/javascript,process.on("SIGWINCH",()=>{})'; // without it none would interrupt
    const args = ['--import', handler, BIN, '--port', '0', '--no-pretty', '--strategy', strategy];
    const { child, port } = await whenListening(new Child(process.execPath, args));
    const storm = startStorm(child.pid);
    await inParallel(4, 4, async (i) => {
      const client = await connectTo(port);
      for (let k = 0; k < 16; k++) await client.echo(pattern(150_000, i * 1_000_000 + k));
      await client.quit();
    });
    await inParallel(30, 5, async (i) => {
      const client = await connectTo(port);
      await client.echo(`number ${i}`);
      await client.quit();
    });
    expect(storm.stop()).toBeGreaterThan(100);
    await until(async () => (await child.stats()).connections.active === 0, 'all to be gone');
    expect((await child.stats()).connections).toMatchObject({
      accepted: 34,
      closed: { eof: 34, error: 0 },
    });
    expect((await child.stats()).bytesOut).toBe((await child.stats()).bytesIn);
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  });
});

/** A signal to each thread of a process in turn, every ms: kill(2) prefers the thread whose id it is given. */
function startStorm(pid: number): { stop: () => number } {
  let sent = 0;
  const timer = setInterval(() => {
    try {
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        process.kill(Number(thread), 'SIGWINCH');
        sent++;
      }
    } catch {} // that thread has just ended
  }, 1);
  const stop = () => {
    clearInterval(timer);
    return sent;
  };
  onTestFinished(() => {
    stop();
  });
  return { stop };
}

describe('what a person is told at the first signal', () => {
  const HINT = 'a second Ctrl-C (or SIGTERM) cuts the connections that are open';

  /** The program with the log for people, and its port. */
  async function startPretty(drainTimeout: string): Promise<{ child: Child; port: number }> {
    const child = runBin(['--port', '0', '--pretty', '--drain-timeout', drainTimeout]);
    const port = () => /listening .*"port":(\d+)/.exec(child.stdout)?.[1];
    await until(() => port() !== undefined || child.ended !== null, 'the line "listening"', 20_000);
    return { child, port: Number(port()) };
  }

  it('that a second one cuts, which it does', async () => {
    const { child, port } = await startPretty('1m');
    const client = await connectTo(port);
    await client.echo('before');
    child.signal('SIGINT');
    await until(() => child.stdout.includes(HINT), 'the hint');
    expect(child.stdout.indexOf('draining')).toBeLessThan(child.stdout.indexOf(HINT));
    await pause(NEXT_SIGNAL_MS);
    await client.echo('still served');
    child.signal('SIGINT');
    expectBytes(await client.readToEnd(), '');
    client.end();
    await expectExit(child, 4);
    expect(child.stdout.split(HINT)).toHaveLength(2); // once
  });

  it('nothing of it when nobody is connected', async () => {
    const { child } = await startPretty('1m');
    child.signal('SIGINT');
    await expectExit(child, 0);
    expect(child.stdout).toContain('draining');
    expect(child.stdout).not.toContain(HINT);
  });

  it('nothing of it when the first one cuts already', async () => {
    const { child, port } = await startPretty('0');
    const client = await connectTo(port);
    await client.echo('before');
    child.signal('SIGINT');
    expectBytes(await client.readToEnd(), '');
    client.end();
    await expectExit(child, 4);
    expect(child.stdout).not.toContain(HINT);
  });

  it('nothing of it in JSON lines', async () => {
    const { child, port } = await start('cmwq', '1m');
    const client = await connectTo(port);
    await client.echo('before');
    child.signal('SIGINT');
    await child.line('draining');
    await client.quit();
    await expectExit(child, 0);
    expect(child.lines.map(({ msg }) => msg)).toEqual(['listening', 'draining', 'stopped']);
  });
});
