/**
 * First in, first out: the queue of connections that wait for a thread, as a Piscina TaskQueue.
 *
 * Pure: no clock, no I/O. A ring of pointers that doubles when it is full, so push and shift cost the same
 * however long it is; Piscina's own default moves every element at a shift.
 *
 * It keeps no limit of its own: the strategies ask `size` and refuse a connection before it becomes a task,
 * because a task that Piscina rejects would have been opened for nothing.
 */
export class Fifo<T extends object> {
  private ring: (T | undefined)[] = new Array(16);
  private head = 0;
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** The next one, null when empty. */
  get first(): T | null {
    return this.count === 0 ? null : (this.at(0) as T);
  }

  /** The last one, null when empty. */
  get last(): T | null {
    return this.count === 0 ? null : (this.at(this.count - 1) as T);
  }

  /** O(size). */
  has(item: T): boolean {
    for (let i = 0; i < this.count; i++) if (this.at(i) === item) return true;
    return false;
  }

  private at(i: number): T | undefined {
    return this.ring[(this.head + i) % this.ring.length];
  }

  /** Adds at the end. */
  push(item: T): void {
    if (this.count === this.ring.length) this.grow();
    this.ring[(this.head + this.count) % this.ring.length] = item;
    this.count++;
  }

  /** Puts an item back at the front: Piscina does that when no thread could take it after all. */
  unshift(item: T): void {
    if (this.count === this.ring.length) this.grow();
    this.head = (this.head + this.ring.length - 1) % this.ring.length;
    this.ring[this.head] = item;
    this.count++;
  }

  /** Takes the first, null when empty. */
  shift(): T | null {
    if (this.count === 0) return null;
    const item = this.ring[this.head] as T; // count > 0, so the head is filled
    this.ring[this.head] = undefined;
    this.head = (this.head + 1) % this.ring.length;
    this.count--;
    return item;
  }

  /** Takes the last, null when empty. */
  pop(): T | null {
    const item = this.last;
    if (item === null) return null;
    this.count--;
    this.ring[(this.head + this.count) % this.ring.length] = undefined;
    return item;
  }

  /** Takes out one item wherever it is; nothing happens when it is not there. O(size). */
  remove(item: T): void {
    for (const next of this.takeAll()) if (next !== item) this.push(next);
  }

  /** These items are the next ones, in this order; any that is not there is passed over. O(size), however many. */
  moveToFront(items: readonly T[]): void {
    const all = this.takeAll();
    const there = new Set(all);
    const front = new Set(items.filter((item) => there.has(item)));
    for (const next of front) this.push(next);
    for (const next of all) if (!front.has(next)) this.push(next);
  }

  private takeAll(): T[] {
    const all: T[] = [];
    for (let next = this.shift(); next !== null; next = this.shift()) all.push(next);
    return all;
  }

  private grow(): void {
    const items: (T | undefined)[] = new Array(this.ring.length * 2);
    for (let i = 0; i < this.count; i++) items[i] = this.at(i);
    this.ring = items;
    this.head = 0;
  }
}
