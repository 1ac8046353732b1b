/**
 * A seeded environment for one worker, real or simulated: main, the other workers and the peers act whenever it waits,
 * and sometimes before one of its atomic operations. Its operations on shared memory and worklists are recorded.
 */
import { Random } from '../../bench/sim/random.ts';
import { Sim } from '../../bench/sim/sim.ts';
import { SimWorker } from '../../bench/sim/worker.ts';
import type { Targets } from '../../bench/sim/world.ts';
import { STAYS } from '../../src/memory/balance.ts';
import { claimWorkerId, kick, setIdle } from '../../src/memory/kick.ts';
import {
  BELL,
  CONNECTIONS,
  ENDING,
  EPOLL_FD,
  MAX_ACTIVE,
  MAYDAY,
  MONITOR,
  MONITOR_ID,
  NR_OVERSHOOT,
  NR_UNSLOTTED,
  POOL,
  type ServiceSpec,
  STATE,
  STOP,
  stateIn,
  WAKE_FD,
  WorkerState,
} from '../../src/memory/layout.ts';
import {
  isGrantTo,
  loadSlot,
  regrantSlot,
  releaseDead,
  releaseSeized,
  seizeSlot,
  slotHolder,
  slotItem,
  uncountUnslotted,
  wakeUnslotted,
} from '../../src/memory/run-slot.ts';

/** The worker under test. */
export const ID = 1;
const OTHERS = [2, 3];
/** What the monitor makes of a worker in an item. */
const FOUND = [WorkerState.Noticed, WorkerState.CpuIntensive] as const;
const CPUS = 2;
const FDS = [3, 4, 5, 6, 7, 8];
/** How often the others act. */
const ACTS = 60;
const OPERATIONS = ['load', 'store', 'add', 'sub', 'and', 'or', 'exchange', 'compareExchange'] as const;

const burn = { kind: 'burn', durationMs: 1 } as const;
const sleep = { kind: 'sleep', durationMs: 1 } as const;
export const SERVICES: ServiceSpec[] = [
  { cpuIntensive: false, steps: [] },
  { cpuIntensive: false, steps: [burn] },
  { cpuIntensive: false, steps: [sleep] },
  { cpuIntensive: false, steps: [burn, sleep, sleep, burn] },
  { cpuIntensive: true, steps: [burn, sleep] },
];

export function serviceOf(fd: number): ServiceSpec {
  return SERVICES[fd % SERVICES.length] as ServiceSpec; // the index is in range
}

/** Half of the last items of a batch move, some of them to their own CPU pool. */
function movesAtRandom(seed: number): Targets {
  const random = new Random(seed);
  return {
    target: () => (random.chance(0.5) ? random.below(CPUS) : STAYS),
    mayGive: () => random.chance(0.8),
  };
}

export class Stage {
  /** Which connections move, in place of the policy. */
  readonly targets: Targets;
  readonly sim = new Sim({
    seed: 1,
    cpus: CPUS,
    fdLimit: 16,
    maxWorkers: 4,
    batch: 64,
    makeBalance: () => ({
      target: (pool, n) => this.targets.target(pool, n),
      mayGive: (pool) => this.targets.mayGive(pool),
    }),
  });
  readonly trace: string[] = [];
  readonly worker = SimWorker.claim(this.sim, ID) as SimWorker; // the first to claim: gets id 1
  private readonly shared = this.sim.shared;
  private readonly words = this.shared.words;
  private readonly random: Random;
  private readonly requests = new Map<number, number>();
  private readonly ended = new Set<number>();
  private acts = 0;
  private hasSurplus = false;
  /** Whether the rescuer is to end. */
  isStopping = false;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.targets = movesAtRandom(seed);
    this.words[MAX_ACTIVE] = this.random.pick([1, 2, 1024]);
    this.sim.connect({
      readable: (fd) => (this.requests.get(fd) ?? 0) > 0 || this.ended.has(fd),
      receive: (fd) => this.receive(fd),
      answered: () => {},
      service: serviceOf,
      closed: () => {},
    });
    for (const id of OTHERS) setIdle(this.shared, claimWorkerId(this.shared, id));
    for (const fd of FDS) {
      this.sim.worklists.add(fd % CPUS, fd);
      this.shared.conns[this.shared.connWord(fd, POOL)] = fd % CPUS;
    }
    for (let pool = 0; pool < CPUS; pool++) {
      this.words[this.shared.poolWord(pool, CONNECTIONS)] = FDS.length / CPUS;
      this.words[this.shared.poolWord(pool, EPOLL_FD)] = pool;
      this.words[this.shared.poolWord(pool, WAKE_FD)] = -1;
    }
    for (const method of ['add', 'delete'] as const) {
      const original = this.sim.worklists[method].bind(this.sim.worklists);
      this.sim.worklists[method] = (pool, fd) => {
        this.trace.push(`worklist ${method} ${pool} ${fd}`);
        return original(pool, fd) as never;
      };
    }
  }

  private get isOver(): boolean {
    return this.acts >= ACTS;
  }

  /** Whether the waiting rescuer may still be called. */
  mayCall(): boolean {
    this.isStopping = this.isOver;
    return !this.isStopping;
  }

  private setState(id: number, state: number): void {
    this.words[this.shared.workerWord(id, STATE)] = state;
  }

  receive(fd: number): 'request' | 'end' | 'again' {
    const requests = this.requests.get(fd) ?? 0;
    if (requests === 0) return this.ended.delete(fd) ? 'end' : 'again';
    this.requests.set(fd, requests - 1);
    return 'request';
  }

  /** Some of the others act, unrecorded. */
  private act(): void {
    const { length } = this.trace;
    const actions = this.isOver ? 0 : this.random.below(4);
    for (let i = 0; i < actions; i++) this.random.pick(this.actions)();
    if (this.acts++ > 10 * ACTS) throw new Error('the worker does not end');
    if (this.isOver) this.end();
    this.trace.length = length;
    this.trace.push(`act ${this.acts}`);
  }

  /** Removes whatever keeps the worker from ending, and retires it. */
  private end(): void {
    for (let pool = 0; pool < CPUS; pool++) this.words[this.shared.poolWord(pool, CONNECTIONS)] = 0;
    this.release();
    this.othersFinish();
    this.setEnding(0);
    if (this.hasSurplus) this.surplus();
    const state = this.shared.workerWord(ID, STATE);
    if (this.words[state] === WorkerState.Idle) this.words[state] = WorkerState.Retired;
  }

  private eachPool(act: (pool: number, word: number) => void): void {
    for (let pool = 0; pool < CPUS; pool++) act(pool, loadSlot(this.shared, pool));
  }

  private setEnding(value: number): void {
    this.words[this.shared.workerWord(ID, ENDING)] = value;
  }

  private readonly othersFinish = () =>
    this.eachPool((pool, word) => {
      const id = slotHolder(word);
      if (!OTHERS.includes(id)) return;
      releaseDead(this.shared, pool, word);
      setIdle(this.shared, id);
    });

  private readonly seize = () =>
    this.eachPool((pool, word) => {
      if (slotHolder(word) === ID && slotItem(word) !== 0) seizeSlot(this.shared, pool, ID, slotItem(word));
    });

  private readonly release = () =>
    this.eachPool((pool, word) => {
      if (slotHolder(word) !== MONITOR_ID) return;
      this.sim.worklists.delete(pool, slotItem(word));
      releaseSeized(this.shared, pool, ID, this.random.pick(FOUND));
    });

  /** Starts or ends another running item in pool 0. */
  private readonly surplus = () => {
    const change = this.hasSurplus ? -1 : 1;
    this.hasSurplus = !this.hasSurplus;
    for (const word of [NR_OVERSHOOT, NR_UNSLOTTED]) {
      Atomics.add(this.words, this.shared.poolWord(0, word), change);
    }
  };

  private readonly actions: (() => void)[] = [
    this.othersFinish,
    this.seize,
    this.release,
    this.surplus,
    () => this.setState(this.random.pick(OTHERS), WorkerState.Starting),
    () => this.eachPool((pool) => uncountUnslotted(this.shared, pool, ID, this.random.pick(FOUND))),
    () => this.eachPool((pool) => wakeUnslotted(this.shared, pool, ID, WorkerState.Noticed)),
    () =>
      this.eachPool((pool, word) => {
        // A slow kicker grants the slot to another worker.
        if (!isGrantTo(word, ID) || this.random.chance(0.7)) return;
        if (regrantSlot(this.shared, pool, word, 2) !== null)
          this.setState(2, stateIn(WorkerState.OnDuty, pool));
      }),
    () => this.eachPool((pool) => kick(this.shared, pool)),
    () => this.setEnding(1),
    () => this.setEnding(0),
    () => {
      this.words[MONITOR] = this.random.below(2);
    },
    () => {
      this.words[BELL] = 1;
    },
    () => {
      this.words[MAYDAY] = 1;
    },
    ...[0, 1, 2, 3].map(() => () => {
      const fd = this.random.pick(FDS);
      if (this.random.chance(0.1)) this.ended.add(fd);
      else this.requests.set(fd, (this.requests.get(fd) ?? 0) + 1);
      this.sim.worklists.arrived(fd);
    }),
  ];

  /** Runs `body` with its operations on the shared words recorded, and the others acting before some of them. */
  record(body: () => void): void {
    const table = Atomics as unknown as Record<string, (...args: unknown[]) => unknown>;
    const originals = [...OPERATIONS, 'wait', 'notify'].map((name) => [name, table[name]] as const);
    const restore = () => {
      for (const [name, original] of originals) if (original !== undefined) table[name] = original;
    };
    const hook = () => {
      for (const [name, original] of originals) {
        table[name] = (...args) => {
          if (args[0] !== this.words || args[1] === STOP) return original?.(...args);
          if (this.random.chance(0.02)) aside();
          const result = original?.(...args);
          this.trace.push(`${name} ${args.slice(1).join(' ')} = ${result}`);
          return result;
        };
      }
      table.notify = () => 0;
      table.wait = (_words, index) => {
        if (index !== MAYDAY || this.mayCall()) aside();
        return 'timed-out';
      };
    };
    const aside = () => {
      restore();
      this.act();
      hook();
    };
    this.aside = aside;
    hook();
    try {
      body();
    } finally {
      restore();
    }
  }

  /** Called during record() when the worker waits: the others act. */
  aside = () => {};
}
