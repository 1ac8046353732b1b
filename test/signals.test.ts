/**
 * Goal: the program stops as documented: a first signal drains, the deadline or a second signal cuts, the exit code
 * tells which, and the port is free at once. SIGUSR2 only reports, SIGUSR1 opens no debugger, SIGHUP under nohup does
 * nothing. Other signals change no byte, whichever thread receives them.
 * Method: the program as a child process. Every step waits for its effect: a log line, an echo, the end of the process.
 * One test signals every thread continuously while clients echo. What src/cli/serve.ts does alike for all strategies,
 * `npm run test:full` checks under each, and `npm test` under kthread, which starts fastest.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../bench/free-port.ts';
import { wasHangupIgnored } from '../src/sys/signals.ts';
import { BIN, Child, runBin, startBin, whenListening } from './support/child.ts';
import { connectTo, expectBytes, pattern } from './support/client.ts';
import { childrenOf } from './support/load-bench.ts';
import { listeningPorts } from './support/process.ts';
import { STRATEGIES, type StrategyName, startServer, untilActive } from './support/server.ts';
import { FULL } from './support/size.ts';
import { inParallel, pause, until } from './support/wait.ts';

/** Longer than the interval within which src/cli/serve.ts takes two signals for one. */
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

/** On a port that the kernel gives to no other socket when it is free again. */
function start(strategy: StrategyName, drainTimeout: string) {
  return startBin(['--port', String(freePort()), '--strategy', strategy, '--drain-timeout', drainTimeout]);
}

describe.each(STRATEGIES)('%s', (strategy) => {
  const alike = FULL || strategy === 'kthread';

  it.each(alike ? (['SIGTERM', 'SIGINT', 'SIGHUP'] as const) : (['SIGTERM'] as const))(
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

  it.runIf(alike)('cuts a peer that does not read', async () => {
    const { child, port } = await start(strategy, '200ms');
    const client = await connectTo(port);
    await client.echo('before');
    client.socket.pause();
    client.send(Buffer.alloc(32 << 20));
    await until(() => client.socket.writableNeedDrain, 'the server to take no more');
    child.signal('SIGTERM');
    await expectExit(child, 4);
  });

  it.runIf(alike)('cuts at a second signal', async () => {
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

  it.runIf(alike)('takes two signals at once for one', async () => {
    const { child, port } = await start(strategy, '5m');
    const client = await connectTo(port);
    await client.echo('before');
    child.signal('SIGSTOP'); // so that both are pending when it continues, however busy the machine is
    child.signal('SIGINT');
    child.signal('SIGTERM'); // the kernel would merge two of the same
    child.signal('SIGCONT');
    await child.line('draining');
    await client.echo('still served');
    await client.quit();
    await expectExit(child, 0);
  });

  it.runIf(alike)('exits 0 at once without connections', async () => {
    const { child, port } = await start(strategy, '5m');
    await (await connectTo(port)).quit();
    child.signal('SIGTERM');
    await expectExit(child, 0);
  });

  it('logs one stats line at SIGUSR2', async () => {
    const { child, port } = await start(strategy, '0');
    const gone = await connectTo(port);
    await gone.echo('gone');
    await gone.quit();
    const open = await connectTo(port);
    await open.echo('open');
    // Bytes are counted after they are sent.
    await until(async () => {
      const { connections, bytesIn, bytesOut } = await child.stats();
      return connections.active === 1 && bytesOut === bytesIn;
    }, 'the first client to be gone');
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
      handlerError: 0,
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

describe('SIGHUP', () => {
  it('twice, as a closed terminal sends it, still only drains', async () => {
    const { child, port } = await start('kthread', '5m');
    const client = await connectTo(port);
    await client.echo('before');
    child.signal('SIGHUP');
    await child.line('draining');
    await pause(NEXT_SIGNAL_MS);
    child.signal('SIGHUP');
    child.signal('SIGUSR2');
    await child.line('stats');
    await client.echo('still served');
    await client.quit();
    await expectExit(child, 0);
  });

  it.each([
    ['nohup, from bash', 'bash --norc', 'nohup "$0" "$@"'],
    ['a script under nohup', 'nohup sh', '"$0" "$@"; exit $?'],
    ['a shell that ignores it', 'sh', 'trap "" HUP; "$0" "$@"; exit $?'],
  ])('stays ignored if it was ignored at the start: %s', async (_, command, script) => {
    const [shell = '', ...flags] = command.split(' ');
    const args = [
      ...flags,
      '-c',
      script,
      process.execPath,
      BIN,
      '--port',
      '0',
      '--no-pretty',
      '-s',
      'kthread',
    ];
    const { child, port, listening } = await whenListening(new Child(shell, args));
    const pid = Number(listening.pid);
    const client = await connectTo(port);
    await client.echo('before');
    process.kill(pid, 'SIGHUP');
    process.kill(pid, 'SIGUSR2');
    await child.line('stats');
    await client.echo('after');
    await client.quit();
    await (await connectTo(port)).quit(); // still accepts
    process.kill(pid, 'SIGTERM');
    await expectExit(child, 0);
  });

  it('counts as not ignored where that cannot be determined', () => {
    expect(wasHangupIgnored({}, 0)).toBe(false); // there is no process 0
    expect(wasHangupIgnored({ _: '/usr/bin/node' }, process.pid)).toBe(false);
    expect(wasHangupIgnored({ _: '/usr/bin/nohup' }, 0)).toBe(true);
  });
});

describe('SIGUSR1', () => {
  const SEND = 'process.kill(process.pid,"SIGUSR1")';
  const IMPORTS = 'import{isMainThread}from"node:worker_threads";import{url}from"node:inspector";'; // workers load it too

  it.each([
    ['while it listens', ''],
    ['before the program is loaded', SEND],
    [
      'long before, when the debugger is already open',
      `${IMPORTS}if(isMainThread){${SEND};while(!url())await new Promise(r=>setTimeout(r,1))}`,
    ],
  ])('opens no debugger %s', async (_, preload) => {
    const before = preload === '' ? [] : ['--import', `data:text/javascript,${encodeURIComponent(preload)}`];
    const args = ['--inspect-port=0', ...before, BIN, '--port', '0', '--no-pretty'];
    const { child, port } = await whenListening(new Child(process.execPath, args));
    if (preload === '') child.signal('SIGUSR1');
    await child.stats();
    expect(listeningPorts(child.pid)).toEqual([port]);
    if (preload === '') expect(child.stderr).toBe('');
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  });

  it('leaves a requested debugger alone', async () => {
    const args = ['--inspect=127.0.0.1:0', BIN, '--port', '0', '--no-pretty'];
    const { child } = await whenListening(new Child(process.execPath, args));
    await child.stats();
    expect(listeningPorts(child.pid)).toHaveLength(2);
  });

  it('does not reach the load generator of bench', async () => {
    const { server, port } = await startServer({ strategy: 'kthread' });
    const child = runBin(['bench', `127.0.0.1:${port}`, '--duration', '60s', '--clients', '1']);
    await untilActive(server, 1);
    const children = childrenOf(child.pid);
    expect(children).toHaveLength(2); // and the echo for its warm-up
    for (const pid of children) {
      const blocked = /^SigBlk:\s*(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
      expect(Number.parseInt(blocked ?? '', 16)).toBe(1 << (constants.signals.SIGUSR1 - 1));
      process.kill(pid, 'SIGUSR1');
    }
    process.kill(child.pid, 'SIGUSR1');
    child.signal('SIGINT');
    expect((await child.untilEnded()).code).toBe(130);
    expect(child.stderr).not.toContain('Debugger');
  });
});

describe.each(STRATEGIES)('%s: continuous signals', (strategy) => {
  it('change no byte', async () => {
    const handler = 'data:text/javascript,process.on("SIGWINCH",()=>{})'; // otherwise ignored, and interrupts nothing
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
    await until(async () => (await child.stats()).connections.active === 0, 'all clients to be gone');
    expect((await child.stats()).connections).toMatchObject({
      accepted: 34,
      closed: { eof: 34, error: 0 },
    });
    expect((await child.stats()).bytesOut).toBe((await child.stats()).bytesIn);
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  });
});

/** Signals each thread of a process in turn, every ms: kill(2) prefers the thread with the given id. */
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

describe('the hint at the first signal', () => {
  const HINT = 'a second Ctrl-C or SIGTERM cuts open connections';

  /** The program with the human-readable log, and its port. */
  async function startPretty(drainTimeout: string): Promise<{ child: Child; port: number }> {
    const child = runBin([
      '--strategy',
      'kthread',
      '--port',
      '0',
      '--pretty',
      '--drain-timeout',
      drainTimeout,
    ]);
    const port = () => /listening .*"port":(\d+)/.exec(child.stdout)?.[1];
    await until(() => port() !== undefined || child.ended !== null, 'the line "listening"');
    return { child, port: Number(port()) };
  }

  it('announces that a second one cuts, which it does', async () => {
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

  it('is absent without connections', async () => {
    const { child } = await startPretty('1m');
    child.signal('SIGINT');
    await expectExit(child, 0);
    expect(child.stdout).toContain('draining');
    expect(child.stdout).not.toContain(HINT);
  });

  it('is absent when the first signal already cuts', async () => {
    const { child, port } = await startPretty('0');
    const client = await connectTo(port);
    await client.echo('before');
    child.signal('SIGINT');
    expectBytes(await client.readToEnd(), '');
    client.end();
    await expectExit(child, 4);
    expect(child.stdout).not.toContain(HINT);
  });

  it('is absent from JSON lines', async () => {
    const { child, port } = await start('kthread', '1m');
    const client = await connectTo(port);
    await client.echo('before');
    child.signal('SIGINT');
    await child.line('draining');
    await client.quit();
    await expectExit(child, 0);
    expect(child.lines.map(({ msg }) => msg)).toEqual(['listening', 'draining', 'stopped']);
  });
});
