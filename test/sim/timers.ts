/**
 * What is to happen at which virtual moment: a binary heap. Which of several events of one moment comes
 * first is not decided here; the scheduler draws lots.
 */
export interface Timer {
  readonly atMs: number;
  /** Null once it is cancelled. */
  run: (() => void) | null;
}

export class Timers {
  private readonly heap: Timer[] = [];

  add(atMs: number, run: () => void): Timer {
    const timer: Timer = { atMs, run };
    this.heap.push(timer);
    this.rise(this.heap.length - 1);
    return timer;
  }

  /** The earliest moment at which something is to happen, Infinity when nothing is. */
  nextMs(): number {
    for (let first = this.heap[0]; first !== undefined; first = this.heap[0]) {
      if (first.run !== null) return first.atMs;
      this.drop();
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Takes everything that is to happen at the earliest moment. */
  takeNext(take: (run: () => void) => void): void {
    const atMs = this.nextMs();
    while (this.heap[0]?.atMs === atMs) {
      const { run } = this.heap[0];
      this.drop();
      if (run !== null) take(run);
    }
  }

  private drop(): void {
    const last = this.heap.pop();
    if (last === undefined || this.heap.length === 0) return;
    this.heap[0] = last;
    this.sink();
  }

  private at(i: number): Timer {
    return this.heap[i] as Timer; // the callers stay within the heap
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
