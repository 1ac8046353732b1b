/**
 * Messages that a thread posts to main. They are marked, since an operator's handler may post messages of its own, which
 * main ignores.
 */
const MARK = 'kecho-pool';

export function markedPost(message: object | string | null): unknown {
  return [MARK, message];
}

/** Calls `take` with the content of a marked message. */
export function takePost(posted: unknown, take: (message: unknown) => void): void {
  if (Array.isArray(posted) && posted[0] === MARK) take(posted[1]);
}
