/**
 * Goal: --hang-kill terminates a worker in the item that hangs or not at all, never in the next item.
 * Method: the protocol on plain memory, interrupting each side at every atomic operation by the other; and a server
 * whose main thread is blocked at the critical points until the worker has moved on.
 */
import type { Logger } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { mayTerminate } from '../src/memory/ending.ts';
import { addTo, ENDING, ITEM_FD, type SharedState, STARTED } from '../src/memory/layout.ts';
import type { EchoServer } from '../src/server/server.ts';
import type { LogLine } from './support/child.ts';
import type { Client } from './support/client.ts';
import { interrupt } from './support/interleave.ts';
import { recordingLogger } from './support/log-output.ts';
import { startManaged } from './support/managed-server.ts';
import { FD, fresh } from './support/slot-memory.ts';

const NEXT = FD + 1;

describe('forced races', () => {
  /** Worker 1 at the end of its first item, and main, which wants to terminate it in that item. */
  function scenario() {
    const s = fresh(1);
    s.doubles[s.workerDouble(1, STARTED)] = 1;
    s.words[s.workerWord(1, ITEM_FD)] = FD;
    let killed: boolean | null = null;
    const ending = s.workerWord(1, ENDING);
    const beginNext = () => {
      if (Atomics.load(s.words, ending) === 1) return; // the worker waits
      addTo(s.doubles, s.workerDouble(1, STARTED), 1);
      Atomics.store(s.words, s.workerWord(1, ITEM_FD), NEXT);
    };
    const worker = () => {
      Atomics.store(s.words, s.workerWord(1, ITEM_FD), 0);
      beginNext();
    };
    const main = () => {
      killed = mayTerminate(s, 1, 1);
    };
    const check = () => {
      const inNext = s.words[s.workerWord(1, ITEM_FD)] === NEXT;
      if (killed === true) expect(inNext).toBe(false);
      else {
        if (!inNext) beginNext();
        expect(s.words[s.workerWord(1, ITEM_FD)]).toBe(NEXT); // it does not wait forever
      }
      expect(s.words[ending]).toBe(killed === true ? 1 : 0);
    };
    return { worker, main, check };
  }

  it('main interrupts a worker between two items', () => {
    interrupt(() => {
      const { worker, main, check } = scenario();
      return { run: worker, other: main, check };
    });
  });

  it('a worker moves to its next item while main decides', () => {
    interrupt(() => {
      const { worker, main, check } = scenario();
      return { run: main, other: worker, check };
    });
  });

  it('main ends only the given item, even if the next one has the same descriptor', () => {
    const s = fresh(1);
    s.words[s.workerWord(1, ITEM_FD)] = FD;
    s.doubles[s.workerDouble(1, STARTED)] = 2;
    expect(mayTerminate(s, 1, 1)).toBe(false);
    expect(mayTerminate(s, 1, 2)).toBe(true);
  });
});

describe('a worker that finishes its long item while main is about to end it', () => {
  /** On a busy machine the monitor is late: the long item lasts several times the limit, the short one hardly. */
  const SERVICES = ['burn:1500ms', 'burn:0.1ms'];

  /** Blocks this thread and its event loop until the condition holds, or for a while. */
  function hold(until: () => boolean, tries = 12_000): void {
    const word = new Int32Array(new SharedArrayBuffer(4));
    for (let i = 0; i < tries && !until(); i++) Atomics.wait(word, 0, 0, 2);
  }

  interface Scene {
    server: EchoServer;
    long: Client;
    short: Client;
    logger: Logger;
    lines: readonly LogLine[];
  }

  /**
   * Plays a scene with a client with a long item, and one with the short item that follows on the same worker; then checks
   * what it returns. A computing item may fall asleep for a moment (see noticing.test.ts), and then the short one runs on
   * another worker; on a busy machine the short one may hang, too: such a scene is played again.
   */
  async function play(scene: (scene: Scene) => Promise<() => void>): Promise<void> {
    for (let tries = 10; ; tries--) {
      const { lines, logger } = recordingLogger();
      const { server, connect } = await startManaged(
        { cpus: 1, cpuIntensiveThreshMs: 0, hangTimeoutMs: 300, hangKill: true, service: SERVICES },
        logger,
      );
      const [long, short] = (await connect(2)) as [Client, Client];
      const check = await scene({ server, long, short, logger, lines }).catch((error) => () => {
        throw error;
      });
      const { noticed, hung } = server.stats().items;
      if ((noticed === 0 && hung === 1) || tries === 1) return check();
    }
  }

  /** Both get their echo, and the server serves on. */
  async function askBoth(long: Client, short: Client): Promise<void> {
    long.send('x');
    short.send('x');
    await long.readExactly(1);
    await short.readExactly(1);
    await short.echo('still served');
  }

  /** Calls `around` in place of main's store that announces the end of a worker. */
  function onEnding(server: EchoServer, around: (store: () => void) => void): void {
    // biome-ignore lint/complexity/useLiteralKeys: it is private
    const shared: SharedState = server['shared'];
    const { store } = Atomics;
    const table = Atomics as { store: typeof store };
    const indices = Array.from({ length: shared.config.workers }, (_, i) => shared.workerWord(i + 1, ENDING));
    table.store = ((words: Int32Array, index: number, value: number) => {
      if (words !== shared.words || value !== 1 || !indices.includes(index))
        return store(words, index, value);
      around(() => store(words, index, value));
      return value;
    }) as typeof store;
    onTestFinished(() => {
      table.store = store;
    });
  }

  function expectNoneKilled(server: EchoServer, lines: readonly LogLine[]): void {
    expect(lines.filter(({ msg }) => msg === 'an item hangs')).toMatchObject([{ killed: false }]);
    expect(server.stats()).toMatchObject({
      items: { hung: 1 },
      threads: { died: { terminated: 0 } },
      connections: { active: 2, closed: { workerDied: 0 } },
    });
  }

  it('has begun the next item when main announces the end: no worker is terminated', () =>
    play(async ({ server, long, short, lines }) => {
      let inNext = false;
      onEnding(server, (announce) => {
        hold(() => server.stats().items.started === 2);
        inNext = server.stats().items.started === 2;
        announce();
      });
      await askBoth(long, short);
      return () => {
        expect(inNext).toBe(true);
        expectNoneKilled(server, lines);
      };
    }));

  it('finishes after main has announced the end: it waits, and may continue', () =>
    play(async ({ server, long, short, lines }) => {
      let [isOver, begun] = [false, 0];
      onEnding(server, (announce) => {
        announce();
        hold(() => server.stats().items.completed === 1);
        isOver = server.stats().items.completed === 1;
        begun = server.stats().items.started;
      });
      await askBoth(long, short);
      return () => {
        expect([isOver, begun]).toEqual([true, 1]);
        expectNoneKilled(server, lines);
      };
    }));

  it('finishes after main has decided: it is terminated between two items, and no connection is lost', () =>
    play(async ({ server, long, short }) => {
      // biome-ignore lint/complexity/useLiteralKeys: it is private
      const strategy = server['engine']?.strategy;
      if (strategy === undefined) throw new Error('not started');
      const terminate = strategy.terminateWorker.bind(strategy);
      let [isOver, begun] = [false, 0];
      strategy.terminateWorker = (id) => {
        hold(() => server.stats().items.completed === 1);
        isOver = server.stats().items.completed === 1;
        hold(() => server.stats().items.started === 2, 100); // times out
        begun = server.stats().items.started;
        return terminate(id);
      };
      await askBoth(long, short);
      return () => {
        expect([isOver, begun]).toEqual([true, 1]);
        expect(server.stats()).toMatchObject({
          threads: { died: { terminated: 1 } },
          connections: { active: 2, closed: { workerDied: 0 } },
        });
      };
    }));

  it('finishes while main is blocked in its log: only the long item is terminated', () =>
    play(async ({ server, long, short, logger }) => {
      const started = () => server.stats().items.started;
      const warn = logger.warn.bind(logger);
      logger.warn = ((...args: Parameters<typeof warn>) => {
        if (args[1] === 'an item hangs') hold(() => started() === 2, 500); // times out after the termination
        warn(...args);
      }) as typeof warn;
      long.send('x');
      short.send('x');
      await short.readExactly(1);
      await long.untilClosed();
      await short.echo('still served');
      return () => {
        expect(long.errorCode).toBe('ECONNRESET');
        expect(server.stats().connections).toMatchObject({ active: 1, closed: { workerDied: 1 } });
      };
    }));
});
