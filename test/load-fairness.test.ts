/**
 * Goal: what the generator reports of single clients and of answers within a time is right: Jain's index, the client
 * served worst, goodput; and its messages begin with the byte that was asked for.
 * Method: the formulas on numbers; the generator as a child process against servers in this process that answer some
 * connections late, or not at all.
 */
import { describe, expect, it } from 'vitest';
import { fairnessOf, jainIndex } from '../bench/fairness.ts';
import { Pattern, Received } from '../bench/load/pattern.ts';
import { generate } from './support/load-bench.ts';
import { answersAfter, echo, neverAnswers, serverThat } from './support/load-servers.ts';

describe('fairness', () => {
  it("is Jain's index of the answers per time waited", () => {
    expect(jainIndex([])).toBe(1);
    expect(jainIndex([3, 3, 3])).toBe(1);
    expect(jainIndex([5, 0, 0, 0])).toBe(1 / 4);
    expect(jainIndex([1, 2, 3])).toBeCloseTo(36 / 42, 12);
    expect(fairnessOf([])).toBeNull();
    expect(fairnessOf([{ answers: 0, spentMs: 9 }])).toBeNull();
    const served = [
      { answers: 10, spentMs: 100 },
      { answers: 5, spentMs: 100 },
    ];
    expect(fairnessOf(served)).toEqual({ fairness: jainIndex([0.1, 0.05]), worstClientMs: 20 });
  });

  it('counts a client without an answer as one that is not served, and its wait as its time', () => {
    const served = [
      { answers: 10, spentMs: 100 },
      { answers: 0, spentMs: 500 },
      { answers: 0, spentMs: 0 },
    ];
    const found = fairnessOf(served);
    expect(found?.fairness).toBeCloseTo(1 / 3, 12);
    expect(found?.worstClientMs).toBe(500);
  });

  it('is measured over the connections of a closed loop, of which one is answered late', async () => {
    let connections = 0;
    const port = await serverThat((socket) => (connections++ === 0 ? answersAfter(100) : echo)(socket));
    const args = ['--clients', '4', '--requests', '5', '--warmup-ms', '0', '--duration-ms', '60000'];
    const { run } = await generate('--port', String(port), ...args);
    expect(run.worstClientMs).toBeGreaterThan(99);
    expect(run.fairness).toBeGreaterThan(0);
    expect(run.fairness).toBeLessThan(1);
  });

  it('shows a connection of a closed loop that is never answered', async () => {
    let connections = 0;
    const port = await serverThat((socket) => (connections++ % 2 === 0 ? neverAnswers : echo)(socket));
    const args = ['--clients', '2', '--requests', '5', '--warmup-ms', '0', '--timeout-ms', '3000'];
    const { run } = await generate('--port', String(port), ...args);
    expect([run.errors.timeout, run.fairness]).toEqual([1, 0.5]);
    expect(run.worstClientMs).toBeGreaterThanOrEqual(3000);
    expect(run).not.toHaveProperty('goodPerSecond');
  });
});

it('goodput counts the answers within the stated time', async () => {
  let connections = 0;
  const port = await serverThat((socket) => (connections++ % 2 === 0 ? answersAfter(1_500) : echo)(socket));
  const args = ['--clients', '2', '--requests', '1', '--warmup-ms', '0', '--duration-ms', '60000'];
  const { run } = await generate('--port', String(port), ...args, '--within-ms', '1490');
  expect(run.response.count).toBe(2);
  expect((run.goodPerSecond ?? 0) * (run.windowMs / 1000)).toBeCloseTo(1, 6);
});

it('messages begin with the given byte, differ otherwise, and their echoes are checked with it', () => {
  const pattern = new Pattern(64, 4, 1, 50);
  const received = new Received(64);
  const messages = Array.from({ length: 100 }, () => {
    const offset = pattern.next();
    const message = Buffer.from(pattern.unsent(offset, 0));
    received.bytes.set(message);
    expect(pattern.matches(received, 64, offset, 0)).toBe(true);
    return message;
  });
  expect(new Set(messages.map((message) => message[0]))).toEqual(new Set([50]));
  expect(new Set(messages.map((message) => message.toString('hex'))).size).toBe(100);
});
