/** Writes into its copy of the request; the echo must not change. */
import type { Handler } from 'kecho-pool/handler';

const handler: Handler = (request) => {
  request.fill(0);
};
export default handler;

/** Gets no bytes, and must not need any. */
export function noParameters(...received: unknown[]): void {
  if (received.length > 0) throw new Error('arguments without parameters');
}

/** Checks its copy against the pattern that the tests send, and that ids and requests are consistent. */
const seen = new Map<number, number>();
export const numbered: Handler = (request, { id, requests }) => {
  if (id < 1) throw new Error(`id ${id}`);
  if (request.buffer.byteLength !== request.length) throw new Error('not a copy of its own');
  if (requests <= (seen.get(id) ?? 0)) throw new Error(`request ${requests} after ${seen.get(id)}`);
  seen.set(id, requests);
  const text = Buffer.from(request).toString();
  if (text !== `request ${requests} of ${id}`) throw new Error(`${requests} of ${id} is ${text}`);
};
