/**
 * Timers by virtual time: a binary heap. The scheduler orders events of the same time at random.
 */
export interface Timer {
  readonly atMs: number;
  /** Whether the run lasts until it has fired. */
  readonly isAwaited: boolean;
  /** Null once it has fired or been cancelled. */
  run: (() => void) | null;
}

export class Timers {
  private readonly heap: Timer[] = [];
  private awaited = 0;

  add(atMs: number, run: () => void, isAwaited = true): Timer {
    const timer: Timer = { atMs, isAwaited, run };
    if (isAwaited) this.awaited++;
    this.heap.push(timer);
    this.rise(this.heap.length - 1);
    return timer;
  }

  cancel(timer: Timer): void {
    if (timer.run !== null && timer.isAwaited) this.awaited--;
    timer.run = null;
  }

  /** Time of the earliest timer; Infinity when none is awaited. */
  nextMs(): number {
    if (this.awaited === 0) return Number.POSITIVE_INFINITY;
    for (let first = this.heap[0]; first !== undefined; first = this.heap[0]) {
      if (first.run !== null) return first.atMs;
      this.drop();
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Passes all timers of the earliest time to `take`; they may still be cancelled before they run. */
  takeNext(take: (run: () => void) => void): void {
    const atMs = this.nextMs();
    for (let first = this.heap[0]; first?.atMs === atMs; first = this.heap[0]) {
      const timer = first;
      this.drop();
      if (timer.run !== null) take(() => this.fire(timer));
    }
  }

  private fire(timer: Timer): void {
    const { run } = timer;
    this.cancel(timer);
    run?.();
  }

  private drop(): void {
    const last = this.heap.pop();
    if (last === undefined || this.heap.length === 0) return;
    this.heap[0] = last;
    this.sink();
  }

  private at(i: number): Timer {
    return this.heap[i] as Timer; // callers stay within the heap
  }

  private rise(from: number): void {
    const timer = this.at(from);
    let i = from;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (this.at(parent).atMs <= timer.atMs) break;
      this.heap[i] = this.at(parent);
      i = parent;
    }
    this.heap[i] = timer;
  }

  private sink(): void {
    const timer = this.at(0);
    const n = this.heap.length;
    let i = 0;
    for (let child = 1; child < n; child = 2 * i + 1) {
      if (child + 1 < n && this.at(child + 1).atMs < this.at(child).atMs) child++;
      if (timer.atMs <= this.at(child).atMs) break;
      this.heap[i] = this.at(child);
      i = child;
    }
    this.heap[i] = timer;
  }
}
