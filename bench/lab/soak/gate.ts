/**
 * Keeps connections from ending while a worker is killed, so that lost connections can be counted.
 *
 * A death costs the worker's connection: the server resets it. If its client had ended or reset it a moment before, the
 * loss could not be observed, and the counts of client and server would sometimes differ. So every end of a connection
 * passes through the gate, and a held gate delays it; other traffic continues.
 *
 * It closes in two steps. "Whole" connections, which end as soon as they begin, may still be waiting for a server
 * thread while held ones occupy all threads. So first no more whole ones begin; after the last of them, no other ends.
 */
export class Passage {
  isShut = false;
  private inside = 0;
  private opening = Promise.withResolvers<void>();
  private onEmpty: (() => void) | null = null;

  async pass(job: () => Promise<void>): Promise<void> {
    while (this.isShut) await this.opening.promise;
    this.inside++;
    try {
      await job();
    } finally {
      this.inside--;
      this.look();
    }
  }

  /** Delays new jobs; calls `onEmpty` when the last running one is done. */
  shut(onEmpty: () => void): void {
    this.isShut = true;
    this.onEmpty = onEmpty;
    this.look();
  }

  open(): void {
    this.isShut = false;
    this.onEmpty = null;
    this.opening.resolve();
    this.opening = Promise.withResolvers();
  }

  private look(): void {
    const { onEmpty } = this;
    if (this.inside > 0 || onEmpty === null) return;
    this.onEmpty = null;
    onEmpty();
  }
}

export class Gate {
  private readonly wholes = new Passage();
  private readonly ends = new Passage();

  /** Runs a whole connection, which may end before a server thread has started on it. */
  whole(job: () => Promise<void>): Promise<void> {
    return this.wholes.pass(job);
  }

  /** Runs the end of a connection that has been echoed. */
  end(job: () => Promise<void>): Promise<void> {
    return this.ends.pass(job);
  }

  /** Closes the gate; calls `onHeld` once no connection is ending. */
  hold(onHeld: () => void): void {
    this.wholes.shut(() => this.ends.shut(onHeld));
  }

  release(): void {
    this.wholes.open();
    this.ends.open();
  }
}
