/**
 * Holds back the ends of connections while a worker is killed, so that a lost connection can be told.
 *
 * A death costs the connection that the worker was in, and the server resets that one. If the client had ended or
 * reset it a moment before, nobody could say whether it was lost, and the two counts would differ now and then. So
 * whatever ends a connection passes through here, and a held gate lets nobody pass; connections go on meanwhile.
 *
 * It closes in two steps. Connections that end as soon as they begin may still wait for a thread of the server, and
 * held ones may occupy all threads. So first no more of the former begin; when the last is over, no other ends.
 */
class Passage {
  private isShut = false;
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

  /** Lets nobody in from now on; calls `onEmpty` when the last has left. */
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

  /** Runs a whole connection whose end may come before a thread has begun with it. */
  whole(job: () => Promise<void>): Promise<void> {
    return this.wholes.pass(job);
  }

  /** Runs the end of a connection that has been echoed. */
  end(job: () => Promise<void>): Promise<void> {
    return this.ends.pass(job);
  }

  /** Closes; `onHeld` is called once no connection is ending. */
  hold(onHeld: () => void): void {
    this.wholes.shut(() => this.ends.shut(onHeld));
  }

  release(): void {
    this.wholes.open();
    this.ends.open();
  }
}
