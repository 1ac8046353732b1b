/**
 * Goal: the soak test passes a correct server, fails one that leaks, corrupts bytes or loses connections, and reports
 * when a run was too short to tell.
 * Method: the fitted slope and the verdicts on made-up samples; the load process against faulty servers; the whole
 * program with wrong usage, and interrupted; for a minute in soak-minute.test.ts.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SoakLoad } from '../bench/lab/soak/load.ts';
import { slopeOf } from '../bench/lab/soak/slope.ts';
import type { LoadCounts, PartResult, Sample } from '../bench/lab/soak/types.ts';
import { growthOf, verdictsOn, warmupMs } from '../bench/lab/soak/verdict.ts';
import { processTree } from '../bench/process-figures.ts';
import { seededRandom } from '../bench/random.ts';
import { Child } from './support/child.ts';
import {
  type Behaviour,
  closesHalfWay,
  echo,
  garbageAtTheEnd,
  oneByteIn10000,
  resets,
  serverThat,
} from './support/load-servers.ts';
import { until } from './support/wait.ts';

const PROGRAM = fileURLToPath(new URL('../bench/lab/soak.ts', import.meta.url));

/** Normal noise with deviation 1. */
function noise(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

describe('the slope', () => {
  const xs = Array.from({ length: 200 }, (_, i) => i * 3);

  it('of a line is exact', () => {
    const slope = slopeOf(
      xs,
      xs.map((x) => 7 + 0.25 * x),
    );
    expect(slope?.slope).toBeCloseTo(0.25, 9);
    expect((slope?.high ?? 1) - (slope?.low ?? 0)).toBeLessThan(1e-9);
  });

  it('of a constant is zero', () => {
    expect(slopeOf(xs, Array(200).fill(42))).toEqual({ slope: 0, low: 0, high: 0 });
  });

  it('lies in its interval 95 times in 100', () => {
    const random = seededRandom(11);
    let inside = 0;
    for (let run = 0; run < 400; run++) {
      const slope = slopeOf(
        xs,
        xs.map((x) => 0.5 * x + 20 * noise(random)),
      );
      if (slope !== null && slope.low <= 0.5 && slope.high >= 0.5) inside++;
    }
    expect(inside / 400).toBeGreaterThan(0.92);
    expect(inside / 400).toBeLessThan(0.98);
  });

  it('is null for too few points or equal x', () => {
    expect(slopeOf([1, 2, 3, 4], [1, 2, 3, 4])).toBeNull();
    expect(slopeOf(Array(50).fill(5), Array(50).fill(5))).toBeNull();
  });
});

const MINUTE_MS = 60_000;

function counts(changed: Partial<LoadCounts> = {}): LoadCounts {
  return {
    opened: 1_000_000,
    over: 1_000_000,
    completed: { echo: 1, churn: 1, halfClose: 1, reset: 1, slow: 1, silent: 1 },
    bytes: 1_000_000,
    lost: 2,
    wrong: 0,
    cutShort: 0,
    refused: 0,
    stalled: 0,
    portsTaken: 0,
    details: [],
    ...changed,
  };
}

interface Made {
  /** MiB of memory that each connection leaves behind. */
  leakMibPer100k?: number;
  noiseMib?: number;
  connectionsPerSecond?: number;
  /** Descriptors that stay open, per minute. */
  descriptorsPerMinute?: number;
  /** Mappings that each connection leaves behind. */
  mappingsEach?: number;
}

/** Five minutes of samples from such a server. */
function samples(made: Made): Sample[] {
  const { leakMibPer100k = 0, noiseMib = 0.5, connectionsPerSecond = 3000 } = made;
  const { descriptorsPerMinute = 0, mappingsEach = 0 } = made;
  const random = seededRandom(3);
  return Array.from({ length: 300 }, (_, i) => {
    const accepted = Math.round((i + 1) * connectionsPerSecond);
    const residentMib = 180 + (accepted / 100_000) * leakMibPer100k + noiseMib * noise(random);
    return {
      atMs: (i + 1) * 1000,
      accepted,
      echoes: accepted * 2,
      bytes: accepted * 128,
      descriptors: 200 + Math.floor((i / 60) * descriptorsPerMinute),
      threads: 10,
      residentKib: residentMib * 1024,
      mappings: Math.round(400 + accepted * mappingsEach + 40 * noise(random)),
      active: 180,
      queued: 0,
      spillsInUse: i % 3,
    };
  });
}

function result(made: Made = {}, changed: Partial<PartResult> = {}): PartResult {
  const held = {
    descriptors: 42,
    threads: 10,
    residentKib: 1,
    mappings: 1,
    active: 0,
    queued: 0,
    spillsInUse: 0,
  };
  const figures = {
    accepted: 1_000_000,
    active: 0,
    queued: 0,
    workerDied: 2,
    deaths: 6,
    echoes: 1,
    bytes: 1,
    spillsInUse: 0,
    spillsTotal: 3,
  };
  return {
    strategy: 'cmwq',
    durationMs: 5 * MINUTE_MS,
    samples: samples(made),
    rests: [],
    start: held,
    end: held,
    counts: counts(),
    figures,
    deathsOrdered: 6,
    deathsPutOff: 0,
    statsLines: 300,
    ended: 'exit code 0',
    ...changed,
  };
}

/** The outcomes in the order of the verdicts: bytes, descriptors and threads, memory, mappings, in use, lost, exit. */
function outcomes(of: PartResult): string {
  const letters = { PASS: 'P', FAIL: 'F', 'too short to tell': '-' };
  return verdictsOn(of)
    .map(({ outcome }) => letters[outcome])
    .join('');
}

describe('the verdicts', () => {
  const { start } = result();

  it('pass a server that does not grow', () => {
    expect(outcomes(result())).toBe('PPPPPPP');
    expect(outcomes(result({ leakMibPer100k: 0.8 }))).toBe('PPPPPPP');
  });

  it('fail on memory that grows with the connections', () => {
    expect(outcomes(result({ leakMibPer100k: 1.2 }))).toBe('PPFPPPP');
    expect(outcomes(result({ leakMibPer100k: 40 }))).toBe('PPFPPPP');
  });

  it('do not judge memory from few connections, nor from noise', () => {
    expect(outcomes(result({ leakMibPer100k: 40, connectionsPerSecond: 40 }))).toBe('PP-PPPP');
    expect(outcomes(result({ noiseMib: 40 }))).toBe('PP-PPPP');
  });

  it('judge memory despite noise when the whole interval lies on one side', () => {
    expect(outcomes(result({ leakMibPer100k: 40, noiseMib: 40 }))).toBe('PPFPPPP');
    expect(outcomes(result({ leakMibPer100k: -40, noiseMib: 40 }))).toBe('PPPPPPP');
  });

  it('judge memory at rest where the load has rests', () => {
    const rests = samples({ leakMibPer100k: 40 }).filter((_, i) => i % 40 === 0);
    expect(outcomes(result({}, { rests }))).toBe('PPFPPPP');
    expect(outcomes(result({ leakMibPer100k: 40 }, { rests: rests.slice(0, 4) }))).toBe('PP-PPPP');
    const atRest = samples({}).filter((_, i) => i % 40 === 0);
    expect(outcomes(result({ leakMibPer100k: 40 }, { rests: atRest }))).toBe('PPPPPPP');
  });

  it('fail on mappings that threads leave behind, also with few connections', () => {
    expect(outcomes(result({ mappingsEach: 0.005 }))).toBe('PPPPPPP');
    expect(outcomes(result({ mappingsEach: 3 }))).toBe('PPPFPPP');
    expect(outcomes(result({ mappingsEach: 0.8, connectionsPerSecond: 40 }))).toBe('PP-FPPP');
    expect(outcomes(result({ mappingsEach: 0.8, connectionsPerSecond: 1 }))).toBe('PP--PPP');
  });

  it('ignore growth during the warm-up', () => {
    const early = samples({}).map((sample) =>
      sample.atMs < 60_000 ? { ...sample, residentKib: sample.residentKib / 2 } : sample,
    );
    expect(outcomes(result({}, { samples: early }))).toBe('PPPPPPP');
    expect([6_000, 20_000, 30_000, 400_000].map(warmupMs)).toEqual([3_000, 10_000, 10_000, 100_000]);
  });

  it.each(['descriptors', 'threads'] as const)('fail on one more of %s at the end', (what) => {
    expect(outcomes(result({}, { end: { ...start, [what]: start[what] + 1 } }))).toBe('PFPPPPP');
    expect(outcomes(result({}, { end: { ...start, [what]: start[what] - 1 } }))).toBe('PPPPPPP');
  });

  it.each(['active', 'queued', 'spillsInUse'] as const)('fail on %s at the end', (what) => {
    expect(outcomes(result({}, { end: { ...start, [what]: 1 } }))).toBe('PPPPFPP');
  });

  it.each(['wrong', 'cutShort', 'refused', 'stalled'] as const)(
    'fail on a connection that is %s',
    (fault) => {
      expect(outcomes(result({}, { counts: counts({ [fault]: 1 }) }))).toBe('FPPPPPP');
    },
  );

  it('fail on connections lost without a death, and on a death without a lost connection', () => {
    expect(outcomes(result({}, { counts: counts({ lost: 3 }) }))).toBe('PPPPPFP');
    expect(outcomes(result({}, { counts: counts({ lost: 1 }) }))).toBe('PPPPPFP');
  });

  it('fail when nothing was compared, and when the server does not exit with 0', () => {
    expect(outcomes(result({}, { counts: counts({ bytes: 0 }) }))).toBe('FPPPPPP');
    expect(outcomes(result({}, { ended: 'exit code 4' }))).toBe('PPPPPPF');
    expect(outcomes(result({}, { ended: 'signal SIGKILL' }))).toBe('PPPPPPF');
  });

  it('include the slope of a leak', () => {
    const growth = growthOf(result({ descriptorsPerMinute: 2 }));
    expect(growth.descriptors?.low).toBeGreaterThan(100); // per hour: 120
    expect(growth.descriptors?.high).toBeLessThan(140);
    expect(growth.threads).toEqual({ slope: 0, low: 0, high: 0 });
  });
});

/** Resets on the first bytes, and closes in order with a client that sends none. */
const resetsSpeakers: Behaviour = (socket) => {
  resets(socket);
  socket.on('end', () => socket.end());
};

describe('the load', () => {
  /** Its counts against a server, once a hundred connections are over or it has seen enough faults. */
  async function countsAt(behaviour: Behaviour): Promise<LoadCounts> {
    const port = await serverThat(behaviour);
    const lanes = { echo: 4, churn: 4, halfClose: 2, reset: 2, slow: 1, silent: 2 };
    const load = new SoakLoad({ port, seed: 5, lanes });
    onTestFinished(() => load.process.stop(true));
    let over = 0;
    await until(async () => {
      over = (await load.hold(5_000)) ?? over;
      load.release();
      return over >= 100 || load.hasEnded;
    }, '100 connections to be over');
    return load.stop();
  }

  it('finds no fault in a correct server', async () => {
    const { details, opened, over, bytes, completed, ...rest } = await countsAt(echo);
    expect(details).toEqual([]);
    expect(over).toBe(opened);
    expect(Math.min(...Object.values(completed))).toBeGreaterThan(0);
    expect(rest).toMatchObject({ lost: 0, wrong: 0, cutShort: 0, refused: 0, stalled: 0 });
  });

  it.each([
    ['flips a bit', oneByteIn10000, 'wrong'],
    ['sends a byte after the end', garbageAtTheEnd, 'wrong'],
    ['ends before the echo is complete', closesHalfWay, 'cutShort'],
    ['resets', resetsSpeakers, 'lost'],
  ] as const)('counts a server that %s', async (_, behaviour, fault) => {
    expect((await countsAt(behaviour))[fault]).toBeGreaterThan(0);
  });
});

describe('the program', () => {
  it.each([
    ['--minutes: a value is missing', []],
    ['--minutes: "0" is not allowed: a number from 0.1 to 1440', ['--minutes', '0']],
    [
      '--strategy: "fifo" is not allowed: one or more of cmwq, workqueue, kthread',
      ['--minutes', '1', '--strategy', 'fifo'],
    ],
    ['--seed: "x" is not allowed: an integer', ['--minutes', '1', '--seed', 'x']],
    ['--output: "/nowhere/x" cannot be written (ENOENT)', ['--minutes', '1', '--output', '/nowhere/x']],
    ["command line: Unknown option '--hours'", ['--hours', '1']],
  ])('refuses: %s', async (complaint, args) => {
    const child = new Child(process.execPath, [PROGRAM, ...args]);
    expect((await child.untilEnded()).code).toBe(2);
    expect(child.stderr).toContain(`soak: ${complaint}`);
    expect(child.stderr.trim().split('\n')).toHaveLength(1);
    expect(child.stdout).toBe('');
  });

  it('ends its processes on Ctrl-C', async () => {
    const child = new Child(process.execPath, [PROGRAM, '--minutes', '10', '--strategy', 'workqueue']);
    const [, ...started] = await until(() => {
      const tree = processTree(child.pid);
      return tree.length === 3 && tree;
    }, 'server and load to be started');
    child.signal('SIGINT');
    expect((await child.untilEnded()).code).toBe(130);
    expect(child.stdout).toContain('interrupted');
    await until(() => started.every((pid) => !isAlive(pid)), 'server and load to be gone');
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
