/**
 * Goal: the load generator reports the truth. It detects and classifies server errors, and sums up correctly.
 * Method: measurements with the options of `kecho-pool bench` of servers in this process that are deliberately wrong, and
 * of a correct one, and the command as a child process; arithmetic is compared with sorted lists.
 */
import { describe, expect, it } from 'vitest';
import type { Point } from '../bench/load/command/points.ts';
import { warnings } from '../bench/load/command/report.ts';
import { Histogram } from '../bench/load/histogram.ts';
import type { ErrorClass } from '../bench/load/result.ts';
import { bench, expectErrors, measured } from './support/load-bench.ts';
import {
  answersAfter,
  type Behaviour,
  closesHalfWay,
  deadPort,
  echo,
  garbageAfterTheEcho,
  garbageAtTheEnd,
  garbageWithTheEcho,
  neverAnswers,
  oneByteIn10000,
  resets,
  serverThat,
  staleTail,
} from './support/load-servers.ts';
import { rank } from './support/rank.ts';
import { FULL } from './support/size.ts';

const CLIENTS = 4;

describe('a correct server', () => {
  it.each([
    ['burst', '--requests', '200'],
    ['closed', '--requests', '200'],
    ['churn', '--requests', '50'],
    ['open', '--rate', '200', '--duration', '1s'],
  ])('causes no errors, %s', async (mode, ...args) => {
    const port = await serverThat(echo);
    const { run } = await measured('--mode', mode, '--clients', String(CLIENTS), ...args, String(port));
    expect(run.errorDetails).toEqual([]);
    expect(run.response.count).toBe({ burst: 800, closed: 800, churn: 200, open: 200 }[mode]);
    expect(run.unsent).toBe(mode === 'open' ? 0 : undefined);
    expect(run.completed).toBeLessThanOrEqual(run.response.count);
    expect(run.connect.count).toBe(mode === 'churn' ? 200 : CLIENTS);
    expect(run.partial).toBe(false);
  });

  it('echoes messages of one byte, of odd sizes and of several segments', async () => {
    const port = await serverThat(echo);
    for (const size of ['1', '61', '257', '300k']) {
      const { run } = await measured(
        '--mode',
        'burst',
        '--clients',
        '3',
        '--requests',
        '5',
        '--size',
        size,
        String(port),
      );
      expect(run.errorDetails, size).toEqual([]);
      expect(run.completed).toBe(15);
    }
  });
});

describe('the generator', () => {
  it('sends the same bytes for the same seed, others for another, and no message twice in a row', async () => {
    let received = Buffer.alloc(0);
    const port = await serverThat((socket) => {
      echo(socket);
      socket.on('data', (data: Buffer) => {
        received = Buffer.concat([received, data]);
      });
    });
    const sent = async (seed: string) => {
      received = Buffer.alloc(0);
      await measured('--mode', 'burst', '--clients', '1', '--requests', '3', '--seed', seed, String(port));
      return received;
    };
    const first = await sent('1');
    expect(first.length).toBe(192);
    expect(first.subarray(0, 64).equals(first.subarray(64, 128))).toBe(false);
    expect((await sent('1')).equals(first)).toBe(true);
    expect((await sent('2')).equals(first)).toBe(false);
  });

  it('warns of a saturated generator, missed sends and errors', () => {
    const faulty = {
      clients: 3,
      errorTotal: 2,
      due: 30,
      unsent: 1,
      lateness: { count: 30, p99Ms: 3 },
      runs: [{ saturated: true, late: true, missedSends: 7, errorDetails: ['reset: recv'] }],
    };
    expect(warnings([faulty as unknown as Point])).toEqual([
      expect.stringContaining('ran or waited for a processor during more than 0.95 of the time'),
      'at 3 clients the generator itself sent up to 3.00 ms late (p99, ~): more than 0.1 of a response time',
      'at 3 clients 1 of 30 requests were never sent: response times that they would raise are lower bounds (>=)',
      'at 3 clients 6 of 30 requests were sent late',
      expect.stringContaining('2 errors, first: reset: recv'),
    ]);
  });
});

describe('a wrong server is detected', () => {
  const cases: [string, Behaviour, ErrorClass, string[]][] = [
    ['garbage with the echo, burst', garbageWithTheEcho, 'wrongBytes', ['--mode', 'burst']],
    ['garbage with the echo, closed', garbageWithTheEcho, 'wrongBytes', ['--requests', '3']],
    ['garbage after the last echo, burst', garbageAfterTheEcho, 'wrongBytes', ['--mode', 'burst']],
    ['garbage after an echo, closed', garbageAfterTheEcho, 'wrongBytes', ['--requests', '2000']],
    ["garbage after the client's FIN, burst", garbageAtTheEnd, 'wrongBytes', ['--mode', 'burst']],
    ['one byte in 10,000, burst', oneByteIn10000, 'wrongBytes', ['--mode', 'burst', '--requests', '157']],
    ['one byte in 10,000, closed', oneByteIn10000, 'wrongBytes', ['--requests', '157']],
    ['one byte in 10,000, not by words', oneByteIn10000, 'wrongBytes', ['--requests', '157', '--size', '65']],
    ['a stale tail, burst', staleTail, 'wrongBytes', ['--mode', 'burst', '--requests', '2']],
    ['a stale tail, closed', staleTail, 'wrongBytes', ['--requests', '2', '--size', '61']],
    ['early close, burst', closesHalfWay, 'earlyClose', ['--mode', 'burst']],
    ['early close, closed', closesHalfWay, 'earlyClose', []],
    ['early close, churn', closesHalfWay, 'earlyClose', ['--mode', 'churn', '--requests', '1']],
    ['reset', resets, 'reset', []],
    ['no answer, burst', neverAnswers, 'timeout', ['--mode', 'burst', '--timeout', '200ms']],
    ['no answer, closed', neverAnswers, 'timeout', ['--timeout', '200ms', '--duration', '1s']],
    [
      'no answer, churn',
      neverAnswers,
      'timeout',
      ['--mode', 'churn', '--requests', '1', '--timeout', '200ms'],
    ],
    [
      'no answer, open',
      neverAnswers,
      'timeout',
      ['--mode', 'open', '--timeout', '200ms', '--duration', '1s'],
    ],
  ];

  const run = cases.filter(([name]) => FULL || !/, (closed|churn)$/.test(name));
  it.each(run)('%s', async (_, behaviour, kind, args) => {
    const port = await serverThat(behaviour);
    const found = await measured('--clients', String(CLIENTS), ...args, String(port));
    expectErrors(found, kind, CLIENTS);
  });

  it('counts no error before the 10,000th byte when one byte in 10,000 is wrong', async () => {
    const port = await serverThat(oneByteIn10000);
    const { run } = await measured('--mode', 'burst', '--clients', '4', '--requests', '156', String(port));
    expect(run.errorTotal).toBe(0); // 156 messages of 64 bytes are 9,984 bytes
  });

  it.each(['burst', 'closed', 'churn'])(
    'counts an answer after the timeout as a timeout, not as a sample, %s',
    async (mode) => {
      // Between two of the generator's timeout checks, every 50 ms, so the answer arrives first.
      const port = await serverThat(answersAfter(290));
      const args = ['--mode', mode, '--clients', String(CLIENTS), '--requests', '1', String(port)];
      const late = await measured('--timeout', '275ms', ...args);
      expectErrors(late, 'timeout', CLIENTS);
      expect(late.run.response.count).toBe(0);
      const { run } = await measured('--timeout', '10s', ...args);
      expect([run.response.count, run.errorTotal]).toEqual([CLIENTS, 0]);
    },
  );

  it.each(['burst', 'closed', 'churn'])('counts a closed port as refused, %s', async (mode) => {
    const port = await deadPort();
    const args = ['--mode', mode, '--clients', String(CLIENTS), '--requests', '1'];
    expectErrors(await measured(...args, String(port)), 'refused', CLIENTS);
  });

  it('names the error classes in the table and prints the first error', async () => {
    const port = await serverThat(closesHalfWay);
    const { stdout, stderr, code } = await bench(
      '--mode',
      'burst',
      '--clients',
      '3',
      '--warmup',
      '0',
      String(port),
    );
    expect(stdout).toContain('3 earlyClose');
    expect(stderr).toContain('after 32 of 64 bytes');
    expect(code).toBe(1);
  });
});

describe('a histogram', () => {
  const wholeNs = (ms: number) => Math.round(ms * 1e6) / 1e6;

  it('matches a sorted list within 0.05 %, also in a sum of histograms', () => {
    const samples = Array.from({ length: 20_000 }, (_, i) =>
      wholeNs(0.003 * 1.0005 ** ((i * 7919) % 20_000)),
    );
    const parts = [new Histogram(), new Histogram()];
    for (const [i, ms] of samples.entries()) parts[i % 3 === 0 ? 0 : 1]?.record(ms);
    const all = new Histogram();
    for (const part of parts) all.add(part.parts());
    const sorted = samples.sort((a, b) => a - b);
    for (const percent of [0.01, 1, 10, 50, 90, 99, 99.9, 100]) {
      const exact = rank(sorted, percent);
      expect(all.percentileMs(percent)).toBeGreaterThanOrEqual(exact * (1 - 1e-12));
      expect(all.percentileMs(percent)).toBeLessThan(exact * 1.0005);
    }
    expect(all.count).toBe(samples.length);
    expect(all.worstMs).toBe(rank(sorted, 100));
    expect(all.averageMs).toBeCloseTo(sorted.reduce((sum, ms) => sum + ms, 0) / sorted.length, 6);
  });
});
