/** A password hash: some 5 ms of CPU time, no sleep. */
import { scryptSync } from 'node:crypto';
import type { Handler } from 'kecho-pool/handler';

const handle: Handler = (request) => {
  scryptSync(request, 'a salt', 32, { N: 2048 });
};

export default handle;
