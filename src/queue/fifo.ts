/**
 * First in, first out: the queue of connections that wait for a thread, as a Piscina TaskQueue.
 *
 * Pure: no clock, no I/O. A ring buffer that doubles when it is full, so push and shift take constant time at any
 * length; Piscina's default moves every element on each shift.
 *
 * It has no limit: the strategies check `size` and refuse a connection before they make a task of it, so that Piscina
 * never rejects one.
 */
export class Fifo<T extends object> {
  private ring: (T | undefined)[] = new Array(16);
  private head = 0;
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** The next item, null when empty. */
  get first(): T | null {
    return this.count === 0 ? null : (this.at(0) as T);
  }

  /** The last item, null when empty. */
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

  /** Puts an item back at the front: Piscina does this when no thread could take it after all. */
  unshift(item: T): void {
    if (this.count === this.ring.length) this.grow();
    this.head = (this.head + this.ring.length - 1) % this.ring.length;
    this.ring[this.head] = item;
    this.count++;
  }

  /** Removes and returns the first item, null when empty. */
  shift(): T | null {
    if (this.count === 0) return null;
    const item = this.ring[this.head] as T; // count > 0, so the head is filled
    this.ring[this.head] = undefined;
    this.head = (this.head + 1) % this.ring.length;
    this.count--;
    return item;
  }

  /** Removes and returns the last item, null when empty. */
  pop(): T | null {
    const item = this.last;
    if (item === null) return null;
    this.count--;
    this.ring[(this.head + this.count) % this.ring.length] = undefined;
    return item;
  }

  /** Removes an item from any place; does nothing when it is absent. O(size). */
  remove(item: T): void {
    for (const next of this.takeAll()) if (next !== item) this.push(next);
  }

  /** Moves these items to the front, in this order; ignores absent ones. O(size), for any number of items. */
  moveToFront(items: readonly T[]): void {
    const all = this.takeAll();
    const present = new Set(all);
    const front = new Set(items.filter((item) => present.has(item)));
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
