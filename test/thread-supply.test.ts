/**
 * Goal: threads are created all at once until a failure, then one at a time with backoff, until one comes up.
 * Method: the supply alone, on fake timers, with threads that come up or fail at the test's command.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ThreadSupply } from '../src/pool/thread-supply.ts';
import type { Threads } from '../src/pool/threads.ts';

class FakeThreads {
  size = 0;
  starting = 0;
  failing = false;

  make(): void {
    if (this.failing) throw new Error('EAGAIN');
    this.size++;
    this.starting++;
  }

  get up(): number {
    return this.size - this.starting;
  }
}

let nowMs = 0;
let wanted = 0;
let failures = 0;
let threads = new FakeThreads();

function supplyOf(max: number): ThreadSupply {
  return new ThreadSupply({
    threads: threads as unknown as Threads,
    max,
    wanted: () => wanted,
    nowMs: () => nowMs,
    onRetry: () => {},
    onFailed: () => failures++,
  });
}

beforeEach(() => {
  vi.useFakeTimers();
  [nowMs, wanted, failures, threads] = [0, 0, 0, new FakeThreads()];
});

afterEach(() => {
  vi.useRealTimers();
});

function passes(ms: number): void {
  nowMs += ms;
  vi.advanceTimersByTime(ms);
}

function comesUp(supply: ThreadSupply): void {
  threads.starting--;
  wanted = Math.max(0, wanted - 1);
  supply.cameUp();
}

function failsToLoad(supply: ThreadSupply): void {
  threads.size--;
  threads.starting--;
  supply.failed(new Error('no module'));
}

describe('ThreadSupply', () => {
  it('creates all wanted threads at once, up to the maximum', () => {
    const supply = supplyOf(5);
    wanted = 3;
    supply.make();
    expect(threads.starting).toBe(3);
    wanted = 9;
    supply.make();
    supply.make();
    expect(threads.starting).toBe(5);
  });

  it('retries with one thread after a failure, backing off to a second', () => {
    const supply = supplyOf(100);
    wanted = 50;
    threads.failing = true;
    supply.make();
    const triesMs: number[] = [];
    for (let before = failures; nowMs < 5000; passes(1)) {
      if (failures > before) triesMs.push(nowMs);
      before = failures;
    }
    const gaps = triesMs.slice(1).map((ms, i) => ms - (triesMs[i] as number));
    expect(gaps).toEqual([20, 40, 80, 160, 320, 640, 1000, 1000, 1000]);
  });

  it('doubles how many start at once with each thread that comes up', () => {
    const supply = supplyOf(100);
    wanted = 50;
    supply.make();
    for (let n = 0; n < 50; n++) failsToLoad(supply);
    expect(failures).toBe(50);
    passes(10);
    expect(threads.starting).toBe(1);
    comesUp(supply);
    expect(threads.starting).toBe(2);
    comesUp(supply);
    expect(threads.starting).toBe(4);
    while (threads.up < 50) comesUp(supply);
    expect([threads.starting, threads.size]).toEqual([0, 50]);
  });

  it('retries while no thread is wanted, and reports how long there has been none', () => {
    const supply = supplyOf(100);
    wanted = 1;
    supply.make();
    expect(supply.exhaustedForMs(nowMs)).toBe(0);
    failsToLoad(supply);
    wanted = 0;
    expect(supply.isExhausted).toBe(true);
    passes(500);
    expect(threads.starting).toBe(1);
    expect(supply.exhaustedForMs(nowMs)).toBe(500);
    comesUp(supply);
    expect([supply.isExhausted, supply.exhaustedForMs(nowMs)]).toEqual([false, 0]);
    threads.size = 0;
    supply.failed(new Error('again'));
    expect(supply.exhaustedForMs(nowMs + 7)).toBe(7);
  });

  it('pauses longer after each death, until a connection ends in order', () => {
    const supply = supplyOf(100);
    const madeAfterMs = (): number => {
      wanted = 1;
      supply.pause();
      supply.make();
      let ms = 0;
      for (; threads.starting === 0; ms++) passes(1);
      comesUp(supply);
      return ms;
    };
    expect([madeAfterMs(), madeAfterMs(), madeAfterMs()]).toEqual([10, 20, 40]);
    supply.resetBackoff();
    expect(madeAfterMs()).toBe(10);
  });

  it('creates no thread after a stop', () => {
    const supply = supplyOf(100);
    wanted = 1;
    threads.failing = true;
    supply.make();
    threads.failing = false;
    supply.stop();
    passes(10_000);
    supply.make();
    expect([threads.size, failures]).toEqual([0, 1]);
  });
});
