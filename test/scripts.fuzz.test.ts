/**
 * Goal: whatever a client does with its connection, and whenever, it gets back exactly what it sent, in order, and then
 * the end that it asked for; and the server's counters are right.
 * Method: random client scripts on raw sockets, many at a time (test/fuzz), against a server in a child process and a
 * model of the expected echo. `npm run fuzz` runs 100,000 of them; FUZZ_SEED selects the seed. The fuzzer itself must
 * find the faults of servers that are occasionally wrong.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { EchoServerOptions } from '../src/index.ts';
import { disagreements } from './fuzz/counters.ts';
import { type FuzzOptions, type FuzzResult, fuzz } from './fuzz/fuzz.ts';
import type { BatchResult } from './fuzz/loop.ts';
import { describeScript, makeScript } from './fuzz/script.ts';
import type { Figures } from './fuzz/server-main.ts';
import { shrink } from './fuzz/shrink.ts';
import { Child } from './support/child.ts';
import { sized } from './support/size.ts';

const SEED = Number(process.env.FUZZ_SEED ?? 1);
const MAIN = fileURLToPath(new URL('./fuzz/main.ts', import.meta.url));

function run(given: Partial<FuzzOptions> & Pick<FuzzOptions, 'server' | 'scripts'>): Promise<FuzzResult> {
  const usual = {
    seed: SEED,
    from: 0,
    limitMs: 150_000,
    concurrency: 64,
    stallMs: 30_000,
    shrinkMs: 0,
    urgent: true,
  };
  return fuzz({ ...usual, ...given });
}

describe.each<{ server: EchoServerOptions; scripts: number; concurrency: number }>([
  { server: { strategy: 'cmwq', cpus: 2 }, scripts: sized(3000), concurrency: 64 },
  { server: { strategy: 'workqueue', workers: 16 }, scripts: sized(2000), concurrency: 64 },
  { server: { strategy: 'kthread', maxWorkers: 16 }, scripts: sized(300), concurrency: 20 },
])('$server.strategy', ({ server, scripts, concurrency }) => {
  it(`serves ${scripts} random scripts as the model says`, { timeout: 180_000 }, async () => {
    const { failure, ...result } = await run({ server, scripts, concurrency });
    const script = failure?.failed?.script;
    expect(
      failure?.what,
      script && `seed ${SEED}, script ${script.index}: ${describeScript(script)}`,
    ).toBeUndefined();
    expect(result.scripts).toBe(scripts);
    expect(result.orderly).toBeGreaterThan(scripts / 2);
    const kinds = [
      'close',
      'pause',
      'read',
      'readAll',
      'reset',
      'send',
      'shutdownRead',
      'shutdownWrite',
      'toEnd',
    ];
    expect(Object.keys(result.operations).sort()).toEqual([...kinds, 'urgent', 'yield'].sort());
    if (server.strategy === 'cmwq') expect(result.spills).toBeGreaterThan(0);
  });
});

it('serves scripts in cmwq with items that sleep and compute, one at a time in one CPU pool', {
  timeout: 180_000,
}, async () => {
  const service = ['sleep:0.2ms', 'burn:0.1ms', 'cpu-intensive,burn:0.1ms,sleep:0.1ms'];
  const { failure } = await run({ server: { strategy: 'cmwq', cpus: 1, service }, scripts: sized(400) });
  expect(failure?.what).toBeUndefined();
});

describe('the fuzzer', () => {
  const against = (server: string, stallMs: number, scripts = 1500) =>
    run({ server, scripts, seed: 1, concurrency: 32, urgent: false, stallMs });

  it('finds no fault in a correct server', async () => {
    expect((await against('honest', 30_000, sized(1500))).failure).toBeNull();
  });

  it.each([
    ['drop', /expected|a FIN after only|no progress/],
    ['duplicate', /more than were sent|expected/],
    ['alter', /^byte \d+ of the stream: got [0-9a-f]+, expected [0-9a-f]+$/],
    ['mixUp', /expected/],
    ['swallow', /expected|a FIN after only|no progress/],
    ['forgetFin', /no progress for 1500 ms/],
    ['lateByte', /more than were sent/],
    ['endEarly', /a FIN (too early|after only)|has ended the connection|the connection failed|ECONNRESET/],
    ['reset', /ECONNRESET|has ended the connection|the connection failed/],
  ])('finds the fault: %s', async (lie, what) => {
    // A short stall limit where a stall may be the finding; elsewhere one that a busy machine does not reach.
    const { failure } = await against(lie, what.source.includes('no progress') ? 1500 : 30_000);
    expect(failure?.what).toMatch(what);
    expect(failure?.failed?.script).toEqual(makeScript(1, failure?.failed?.script.index ?? -1, false));
  });

  it('finds that urgent data is not echoed in its place', async () => {
    const { failure } = await run({
      server: 'honest',
      scripts: 1500,
      seed: 1,
      concurrency: 32,
      stallMs: 1500,
    });
    expect(failure?.what).toMatch(/expected|a FIN after only|no progress/);
    expect(failure?.failed?.script.operations).toContainEqual(expect.objectContaining({ urgent: true }));
  });

  it('prints what failed and how to repeat it, and exits 1', async () => {
    const child = new Child(process.execPath, [
      MAIN,
      '--against',
      'alter',
      '--seed',
      '5',
      '--scripts',
      '1500',
      '--shrink-ms',
      '1000',
      '--no-urgent',
    ]);
    expect((await child.untilEnded()).code).toBe(1);
    const [, script] = /seed 5, script (\d+), operation \d+/.exec(child.stdout) ?? [];
    expect(child.stdout).toContain('FAILED alter: byte ');
    expect(child.stdout).toContain(`npm run fuzz -- --against alter --seed 5 --only ${script} `);
    expect(child.stdout).toContain('>>> ');
  });

  it.each([
    [['--strategy', 'fast'], '--strategy'],
    [['--scripts', '0'], '--scripts'],
    [['--server', '{'], '--server'],
    [['--bogus'], '--bogus'],
  ])('refuses %j: one line, exit 2', async (args, name) => {
    const child = new Child(process.execPath, [MAIN, ...args]);
    expect((await child.untilEnded()).code).toBe(2);
    expect(child.stderr).toMatch(/^fuzz: [^\n]+\n$/);
    expect(child.stderr).toContain(name);
  });
});

describe('a script', () => {
  it('is determined by seed and index, apart from urgent data', () => {
    expect(makeScript(7, 4711, true)).toEqual(makeScript(7, 4711, true));
    expect(makeScript(7, 4712, true)).not.toEqual(makeScript(7, 4711, true));
    const plain = JSON.stringify(makeScript(7, 4711, true)).replaceAll('"urgent":true', '"urgent":false');
    expect(JSON.stringify(makeScript(7, 4711, false))).toBe(plain);
  });

  it('shrinks while it still fails', async () => {
    const script = {
      ...makeScript(1, 1, true),
      operations: [
        { do: 'pause', ms: 1 },
        { do: 'send', length: 1000, urgent: false },
        { do: 'readAll' },
        { do: 'send', length: 5, urgent: true },
        { do: 'reset' },
      ] as const,
    };
    const fails = async ({ operations }: typeof script | ReturnType<typeof makeScript>) =>
      operations.some((operation) => operation.do === 'send' && operation.length > 100);
    const { operations } = await shrink(script, fails);
    expect(operations).toEqual([{ do: 'send', length: 125, urgent: false }, { do: 'reset' }]);
  });
});

describe('the comparison of the counters', () => {
  const noon = { stats: figuresOf({}), sockets: 5 } as Figures;
  const batch: BatchResult = {
    failure: null,
    scripts: 10,
    orderly: 7,
    sent: 1000,
    received: 800,
    orderlySent: 700,
    longest: { waitMs: 1, index: 0 },
  };
  const right = { accepted: 10, eof: 8, error: 2, bytesIn: 900, bytesOut: 850 };

  function figuresOf(counts: Record<string, number>) {
    const { accepted = 0, active = 0, queued = 0, eof = 0, error = 0, cut = 0 } = counts;
    const { refused = 0, died = 0, inUse = 0, open = 0, bytesIn = 0, bytesOut = 0 } = counts;
    return {
      connections: { accepted, active, queued, closed: { eof, error, cut }, refused: { queueFull: refused } },
      items: { started: accepted, completed: accepted - open },
      spills: { total: 0, inUse },
      threads: { createFailed: 0, died: { other: died } },
      bytesIn,
      bytesOut,
    } as unknown as Figures['stats'];
  }

  const wrongIn = (changed: Record<string, number>, sockets = 5) =>
    disagreements(noon, { stats: figuresOf({ ...right, ...changed }), sockets }, batch);

  it('accepts counters that agree', () => {
    expect(wrongIn({})).toEqual([]);
  });

  it.each([
    [{ accepted: 11 }, 'accepted'],
    [{ active: 1 }, 'active'],
    [{ queued: 1 }, 'queued'],
    [{ refused: 1 }, 'refused'],
    [{ died: 1 }, 'died'],
    [{ inUse: 1 }, 'spills'],
    [{ open: 1 }, 'items'],
    [{ eof: 6, error: 4 }, 'eof'],
    [{ eof: 7, cut: 1 }, 'eof or error'],
    [{ bytesIn: 799 }, 'bytesIn'],
    [{ bytesIn: 1001 }, 'bytesIn'],
    [{ bytesOut: 901 }, 'bytesOut'],
    [{ bytesOut: 799 }, 'bytesOut'],
  ])('finds %j', (changed, what) => {
    expect(wrongIn(changed).join()).toContain(what);
  });

  it('finds a socket left open', () => {
    expect(wrongIn({}, 6)).toEqual(['open sockets: 6, expected 5']);
  });
});
